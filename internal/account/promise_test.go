package account_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/waypost"
)

func TestAStoredPasswordIsReusedOnlyForTheServerItWasTypedFor(t *testing.T) {
	saved := account.GatewayUpdate{Type: "smtp", Host: "mail.acme.example", Port: 465, Security: "starttls"}
	tests := []struct {
		name   string
		change func(*account.GatewayUpdate)
		reused bool
	}{
		{"nothing changed", func(*account.GatewayUpdate) {}, true},
		{"host in other letters", func(g *account.GatewayUpdate) { g.Host = "MAIL.acme.example." }, true},
		{"security raised", func(g *account.GatewayUpdate) { g.Security = "tls" }, true},
		{"security lowered", func(g *account.GatewayUpdate) { g.Security = "none" }, false},
		{"other host", func(g *account.GatewayUpdate) { g.Host = "mail.acme.example.evil.example" }, false},
		{"other port", func(g *account.GatewayUpdate) { g.Port = 587 }, false},
		{"default port", func(g *account.GatewayUpdate) { g.Port = 0 }, false},
		{"other user", func(g *account.GatewayUpdate) { g.Auth.Username = "root" }, false},
		{"user in other letters", func(g *account.GatewayUpdate) { g.Auth.Username = "ACME" }, false},
		{"certificates not checked", func(g *account.GatewayUpdate) { g.TrustAll = true }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.operator(t, waypost.ProductCloud)
			first := saved
			first.Auth = &account.AuthUpdate{Username: "acme", Password: "hunter2"}
			w.save(t, id, account.Update{Gateway: &first})
			next := saved
			next.Auth = &account.AuthUpdate{Username: "acme"}
			tt.change(&next)
			preview, err := w.Preview(t.Context(), id, account.Update{Gateway: &next})
			if tt.reused != (err == nil) {
				t.Fatalf("Preview = %v", err)
			}
			if tt.reused && preview.Relay.Password != "hunter2" {
				t.Errorf("preview has password %q", preview.Relay.Password)
			}
			_, err = w.SaveEmail(t.Context(), waypost.CommandLine(), id, account.Update{Gateway: &next})
			if tt.reused != (err == nil) {
				t.Fatalf("SaveEmail = %v", err)
			}
			if e := waypost.AsError(err); err != nil && (e.Kind != waypost.Invalid || e.Field != "gateway.auth.password") {
				t.Errorf("SaveEmail = %+v", e)
			}
			if got := w.get(t, id).Relay.Password; got != "hunter2" {
				t.Errorf("password is %q afterwards", got)
			}
		})
	}
}

func TestAuthNullRemovesTheLogin(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductCloud)
	w.save(t, id, ownServer())
	u := ownServer()
	u.Gateway.Auth = nil
	if got := w.save(t, id, u); got.Gateway.Auth != nil {
		t.Errorf("auth = %+v", got.Gateway.Auth)
	}
	if r := w.get(t, id).Relay; r.Username != "" || r.Password != "" {
		t.Errorf("relay = %q %q", r.Username, r.Password)
	}
	u = ownServer()
	u.Gateway.Auth.Password = ""
	if _, err := w.SaveEmail(t.Context(), waypost.CommandLine(), id, u); waypost.AsError(err).Field != "gateway.auth.password" {
		t.Errorf("SaveEmail = %v, want the removed password to be asked for", err)
	}
}

// TestNoSequenceOfUpdatesTakesAPasswordElsewhere is promise 7: whatever is saved, the
// password in use was typed for this host, port, user and certificate checking, and
// security has not been lowered since.
func TestNoSequenceOfUpdatesTakesAPasswordElsewhere(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		id := w.operator(t, waypost.ProductServermate)
		type typed struct {
			relay    waypost.Relay
			strength int // the highest since
		}
		passwords := map[string]*typed{} // by password; each is typed once
		n := 0
		check := func(r *waypost.Relay) {
			if r == nil || r.Password == "" {
				return
			}
			origin := passwords[r.Password]
			if origin == nil {
				rt.Fatalf("password %q was never typed", r.Password)
			}
			if r.Host != origin.relay.Host || r.Port != origin.relay.Port || r.Username != origin.relay.Username || r.TrustAll != origin.relay.TrustAll {
				rt.Fatalf("a password typed for %+v is used for %+v", origin.relay, *r)
			}
			if r.Security.Strength() < origin.strength {
				rt.Fatalf("security of %+v was lowered from %d", *r, origin.strength)
			}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			u := account.Update{}
			var password string
			switch rapid.SampledFrom([]string{"server", "server", "server", "builtin", "none", "bare"}).Draw(rt, "gateway") {
			case "builtin":
				u.Gateway = &account.GatewayUpdate{Type: waypost.GatewayBuiltin}
			case "bare":
				u.Gateway = &account.GatewayUpdate{Type: waypost.GatewaySMTP}
			case "server":
				g := &account.GatewayUpdate{
					Type:     waypost.GatewaySMTP,
					Host:     rapid.SampledFrom([]string{"a.example", "A.example", "b.example"}).Draw(rt, "host"),
					Port:     rapid.SampledFrom([]int{0, 25, 587}).Draw(rt, "port"),
					Security: rapid.SampledFrom([]waypost.Security{"none", "starttls", "tls"}).Draw(rt, "security"),
					TrustAll: rapid.Bool().Draw(rt, "trust_all"),
				}
				if rapid.IntRange(0, 4).Draw(rt, "login") > 0 {
					g.Auth = &account.AuthUpdate{Username: rapid.SampledFrom([]string{"u", "v"}).Draw(rt, "user")}
					if rapid.IntRange(0, 2).Draw(rt, "typed") == 0 {
						n++
						password = "password " + string(rune('a'+n))
						g.Auth.Password = password
					}
				}
				u.Gateway = g
			}
			preview, err := w.Preview(t.Context(), id, u)
			if err == nil && password != "" {
				passwords[password] = &typed{*preview.Relay, preview.Relay.Security.Strength()}
			}
			if err == nil {
				check(preview.Relay)
			}
			if rapid.Bool().Draw(rt, "only a test") {
				continue
			}
			if _, err := w.SaveEmail(t.Context(), waypost.CommandLine(), id, u); err != nil {
				continue
			}
			r := w.get(t, id).Relay
			check(r)
			if r != nil && r.Password != "" {
				passwords[r.Password].strength = r.Security.Strength()
			}
		}
	})
}
