package app

import (
	"net/http"
	"net/netip"

	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/web"
)

// listenHTTP serves the panel, the API, and what load balancers ask.
func (a *App) listenHTTP() error {
	listener, err := a.listen(ListenHTTP, a.Config.HTTPAddr)
	if err != nil || listener == nil {
		return err
	}
	o := api.Options{
		Store: a.Store, Accounts: a.Accounts, Directory: a.Directory, Auth: a.Auth, Accepter: a.Submit, Queue: a.Queue,
		Sandbox: a.System, Platform: a.Platform, TrustedProxies: a.Config.TrustedProxies,
		Memory:         web.NewMemory(web.MemoryOptions{}),
		MaxMessageSize: a.Config.MaxMessageSize, LinkKeys: a.Ring.DeriveAll("domain link"), Notices: &notices{app: a}, Log: a.Log, Asks: verify.NewAsks(),
	}
	o.PlatformDNS, o.PlatformSettings = a.Base, a.System
	o.Domains = noDomains{}
	if a.Domains != nil {
		o.Domains = a.Domains
	}
	o.Tests, o.Webhooks = a.newTester(), a.Webhooks
	if u := a.Config.PublicURL; u != nil {
		o.PublicURL = u.String()
	}
	ops := obs.Handler(a.Metrics, a.health)
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", ops)
	mux.Handle("GET /readyz", ops)
	rest := api.New(o)
	for _, path := range []string{"/v1/", "/docs", "/docs/", "/openapi.json", "/openapi.yaml"} {
		mux.Handle(path, rest)
	}
	pages, err := a.newPanel(o)
	if err != nil {
		return err
	}
	mux.Handle("/", pages)
	a.unnamed = web.NewUnnamed(web.Front{Proxies: a.Config.TrustedProxies}, func(peer netip.Addr) {
		a.Log.Warn("requests come through a proxy that is not trusted: all its clients count as one, and lock each other out; "+
			"if it is yours, name it in WAYPOST_TRUSTED_PROXIES", obs.KeyPeer, peer.String())
	})
	a.serveHTTP(ListenHTTP, listener, a.unnamed.Watch(mux))
	return nil
}
