package app

import (
	"context"
	"fmt"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	_ "time/tzdata" // people choose their time zone on machines that know none, too

	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/panel/view"
)

// newPanel makes the panel, which works with what the API works with.
func (a *App) newPanel(o api.Options) (http.Handler, error) {
	first, err := a.FirstLogin(context.Background(), a.Users, a.Addr(ListenHTTP).String())
	if err != nil {
		return nil, err
	}
	a.Directory.OnChange(first.Changed)
	brand := view.Brand{Name: a.Config.BrandName, Color: a.Config.BrandColor}
	if u := a.Config.HelpURL; u != nil {
		brand.HelpURL = u.String()
	}
	logo, err := readLogo(a.Config.BrandLogo)
	if err != nil {
		return nil, err
	}
	return panel.New(panel.Options{
		Store: o.Store, System: a.System, Accounts: o.Accounts, Directory: o.Directory, Auth: o.Auth, Users: a.Users, First: first, Accepter: o.Accepter, Tester: o.Tests,
		Queue: a.Queue, Process: a, Domains: o.Domains, Asks: o.Asks, Notices: o.Notices, Memory: o.Memory, Platform: o.Platform,
		PlatformDNS: o.PlatformDNS, WebhookTests: a.Webhooks, Approve: a.Config.ApproveSenders, UpstreamSigns: a.Config.UpstreamSigns, Brand: brand, Logo: logo,
		PublicURL: o.PublicURL, LinkKeys: o.LinkKeys, Unsubscribe: a.unsubscribeLinks(), TrustedProxies: o.TrustedProxies, Log: a.Log,
		LocalURL: a.link(a.Addr(ListenHTTP).String(), ""), MailFrom: (&notices{app: a}).from(), Submission: a.submission(), Go: a.loops.Go,
	})
}

// submission is where programs hand mail over by SMTP, as far as people can be told.
func (a *App) submission() panel.Submission {
	s := panel.Submission{SelfSigned: a.Config.TLSCert == ""}
	for _, l := range []struct {
		name string
		port *int
	}{{ListenSMTP, &s.StartTLS}, {ListenSMTPS, &s.TLS}} {
		addr, ok := a.Addr(l.name).(*net.TCPAddr)
		if !ok {
			continue
		}
		*l.port, s.Host = addr.Port, a.Config.Hostname
		if !addr.IP.IsUnspecified() {
			s.Host = addr.IP.String()
		}
	}
	return s
}

// maxLogo bounds the platform's logo, in bytes.
const maxLogo = 512 << 10

// readLogo reads the platform's logo; without a file there is none.
func readLogo(path string) (panel.Logo, error) {
	if path == "" {
		return panel.Logo{}, nil
	}
	kind := mime.TypeByExtension(filepath.Ext(path))
	switch kind {
	case "image/png", "image/jpeg", "image/webp", "image/svg+xml":
	default:
		return panel.Logo{}, fmt.Errorf("logo %s: not a PNG, JPEG, WebP or SVG file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return panel.Logo{}, fmt.Errorf("logo: %w", err)
	}
	if len(text) > maxLogo {
		return panel.Logo{}, fmt.Errorf("logo %s: more than %d bytes", path, maxLogo)
	}
	return panel.Logo{Kind: kind, Text: text}, nil
}
