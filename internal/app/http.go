package app

import (
	"net/http"

	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/obs"
)

// listenHTTP serves the API, and what load balancers ask.
func (a *App) listenHTTP() error {
	listener, err := a.listen(ListenHTTP, a.Config.HTTPAddr)
	if err != nil || listener == nil {
		return err
	}
	o := api.Options{
		Store: a.Store, Accounts: a.Accounts, Directory: a.Directory, Auth: a.Auth, Accepter: a.Submit, Queue: a.Queue,
		Sandbox: a.System, Platform: a.Platform, TrustedProxies: a.Config.TrustedProxies,
		MaxMessageSize: a.Config.MaxMessageSize, LinkKeys: a.Ring.DeriveAll("domain link"), Notices: &notices{app: a}, Log: a.Log,
	}
	o.PlatformDNS = a.Base
	o.Domains = noDomains{}
	if a.Domains != nil {
		o.Domains = a.Domains
	}
	if a.Tests != nil {
		o.Tests = tests{a.Tests}
	}
	if u := a.Config.PublicURL; u != nil {
		o.PublicURL = u.String()
	}
	ops := obs.Handler(a.Metrics, a.health)
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", ops)
	mux.Handle("GET /readyz", ops)
	mux.Handle("/", api.New(o))
	a.serveHTTP(ListenHTTP, listener, mux)
	return nil
}
