package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

func TestSavedSettingsAreShownWithoutSecrets(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	u := ownServer()
	u.ReplyTo = `"Acme, Inc." <help@acme.example>`
	u.Signature = account.Signature{Text: "-- \nAcme", HTML: "<b>Acme</b>"}
	w.save(t, id, u)
	got, err := w.EmailSettings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	server := &account.Gateway{
		Type: "smtp", Host: "mail.acme.example", Port: 587, Security: "starttls",
		Auth: &account.Login{Username: "acme", PasswordSet: true},
	}
	want := account.Settings{
		Gateway: server, From: "Acme Alerts <alerts@acme.example>", ReplyTo: `"Acme, Inc." <help@acme.example>`,
		Signature: account.Signature{Text: "-- \nAcme", HTML: "<b>Acme</b>"},
		ReadOnly: account.ReadOnly{
			SMTP: server, Allowed: []waypost.GatewayType{"builtin", "smtp"}, Warnings: []string{},
			FromInUse: &account.FromInUse{Address: "alerts@acme.example", Name: "Acme Alerts"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%s %+v %v %#v", text, got, u.Gateway.Auth, *u.Gateway.Auth); strings.Contains(printed, "hunter2") {
		t.Error("the password is printed:", printed)
	}
	a := w.get(t, id)
	wantRelay := &waypost.Relay{
		Host: "mail.acme.example", Port: 587, Security: "starttls", Username: "acme", Password: "hunter2", Guarded: true,
	}
	if diff := cmp.Diff(wantRelay, a.Relay); diff != "" {
		t.Error(diff)
	}
}

func TestAnAnswerCanBeSentBack(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	u := ownServer()
	u.Signature.Text, u.ReplyTo = "Acme", "help@acme.example"
	for _, gateway := range []waypost.GatewayType{waypost.GatewaySMTP, waypost.GatewayBuiltin} {
		if gateway == waypost.GatewayBuiltin {
			u.Gateway = &account.GatewayUpdate{Type: gateway}
		}
		shown := w.save(t, id, u)
		text, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		var back account.Update
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shown, w.save(t, id, back)); diff != "" {
			t.Errorf("%s: %s", gateway, diff)
		}
	}
}

func TestBuiltinGatewayIsShownAsItsTypeAlone(t *testing.T) {
	text, err := json.Marshal(account.Gateway{Type: waypost.GatewayBuiltin})
	if err != nil || string(text) != `{"type":"builtin"}` {
		t.Errorf("%s, %v", text, err)
	}
	text, err = json.Marshal(&account.Gateway{Type: waypost.GatewaySMTP, Host: "h", Port: 25, Security: "none"})
	if want := `{"type":"smtp","host":"h","port":25,"security":"none","trust_all":false,"auth":null}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

func TestGatewaysFollowTheProduct(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		product waypost.Product
		gateway waypost.GatewayType
		initial waypost.GatewayType
		refused bool
	}{
		{waypost.ProductServermate, waypost.GatewayBuiltin, waypost.GatewayBuiltin, false},
		{waypost.ProductServermate, waypost.GatewaySMTP, waypost.GatewayBuiltin, false},
		{waypost.ProductCloud, waypost.GatewayBuiltin, "", true},
		{waypost.ProductCloud, waypost.GatewaySMTP, "", false},
		{waypost.ProductOnPremise, waypost.GatewayBuiltin, "", true},
		{waypost.ProductOnPremise, waypost.GatewaySMTP, "", false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s", tt.product, tt.gateway), func(t *testing.T) {
			id := w.operator(t, tt.product)
			if got := w.get(t, id).Gateway; got != tt.initial {
				t.Errorf("starts with %q, want %q", got, tt.initial)
			}
			u := ownServer()
			if tt.gateway == waypost.GatewayBuiltin {
				u = account.Update{Gateway: &account.GatewayUpdate{Type: waypost.GatewayBuiltin}}
			}
			for name, save := range map[string]func() error{
				"SaveEmail": func() error { _, err := w.SaveEmail(t.Context(), waypost.CommandLine(), id, u); return err },
				"Preview":   func() error { _, err := w.Preview(t.Context(), id, u); return err },
			} {
				err := save()
				if tt.refused {
					if e := waypost.AsError(err); e.Kind != waypost.Forbidden || e.Code != "gateway_not_allowed" {
						t.Errorf("%s = %v", name, err)
					}
				} else if err != nil {
					t.Errorf("%s = %v", name, err)
				}
			}
			want := tt.gateway
			if tt.refused {
				want = tt.initial
			}
			if got := w.get(t, id).Gateway; got != want {
				t.Errorf("bound is %q, want %q", got, want)
			}
		})
	}
}

func TestAGatewayTakenFromAProductIsTakenFromItsOperators(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	if a := w.get(t, id); a.Withdrawn || a.Gateway != waypost.GatewayBuiltin {
		t.Fatalf("%+v", a)
	}
	if err := w.store.Write(t.Context(), func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE entitlement SET allowed = FALSE WHERE product = 'servermate' AND gateway = 'builtin'")
		return errors.Join(err, store.BumpChange(ctx, tx))
	}); err != nil {
		t.Fatal(err)
	}
	w.serve(w.ring, route.Platform{Domain: "platform.example"})
	if a := w.get(t, id); !a.Withdrawn {
		t.Errorf("%+v", a)
	}
	w.save(t, id, ownServer())
	if a := w.get(t, id); a.Withdrawn {
		t.Errorf("withdrawn although another gateway is bound: %+v", a)
	}
}

func TestWrongFieldsAreAllNamedAndNothingIsSaved(t *testing.T) {
	long := strings.Repeat("x", 16<<10+1)
	server := func(change func(*account.GatewayUpdate)) account.Update {
		u := ownServer()
		change(u.Gateway)
		return u
	}
	tests := []struct {
		name   string
		update account.Update
		want   []string
	}{
		{"From of the platform on an own server", account.Update{Gateway: ownServer().Gateway, From: "a@sub.platform.example"}, []string{"from"}},
		{"no type", account.Update{Gateway: &account.GatewayUpdate{}}, []string{"gateway.type"}},
		{"unknown type", account.Update{Gateway: &account.GatewayUpdate{Type: "carrier_pigeon"}}, []string{"gateway.type"}},
		{"builtin with a host", account.Update{Gateway: &account.GatewayUpdate{Type: "builtin", Host: "a.example"}}, []string{"gateway.type"}},
		{"smtp without saved server", account.Update{Gateway: &account.GatewayUpdate{Type: "smtp"}}, []string{"gateway.host", "gateway.security"}},
		{"host with space", server(func(g *account.GatewayUpdate) { g.Host = "a b.example" }), []string{"gateway.host"}},
		{"host with control", server(func(g *account.GatewayUpdate) { g.Host = "a\x01.example" }), []string{"gateway.host"}},
		{"host with port", server(func(g *account.GatewayUpdate) { g.Host = "a.example:25" }), []string{"gateway.host"}},
		{"host as URL", server(func(g *account.GatewayUpdate) { g.Host = "smtp://a.example/" }), []string{"gateway.host"}},
		{"host as half an address", server(func(g *account.GatewayUpdate) { g.Host = "127.1" }), []string{"gateway.host"}},
		{"host with zone", server(func(g *account.GatewayUpdate) { g.Host = "fe80::1%eth0" }), []string{"gateway.host"}},
		{"port not allowed", server(func(g *account.GatewayUpdate) { g.Port = 22 }), []string{"gateway.port"}},
		{"negative port", server(func(g *account.GatewayUpdate) { g.Port = -25 }), []string{"gateway.port"}},
		{"unknown security", server(func(g *account.GatewayUpdate) { g.Security = "ssl" }), []string{"gateway.security"}},
		{"no user name", server(func(g *account.GatewayUpdate) { g.Auth.Username = "" }), []string{"gateway.auth.username"}},
		{"user name with line end", server(func(g *account.GatewayUpdate) { g.Auth.Username = "a\r\nb" }), []string{"gateway.auth.username"}},
		{"password with NUL", server(func(g *account.GatewayUpdate) { g.Auth.Password = "a\x00b" }), []string{"gateway.auth.password"}},
		{"password missing", server(func(g *account.GatewayUpdate) { g.Auth.Password = "" }), []string{"gateway.auth.password"}},
		{"from is no address", account.Update{From: "Acme"}, []string{"from"}},
		{"from with line end", account.Update{From: "Acme\r\nBcc: x@y.example <a@b.example>"}, []string{"from"}},
		{"from with encoded line end", account.Update{From: "=?utf-8?q?a=0D=0Ab=E2=80=AEc?= <a@b.example>"}, []string{"from"}},
		{"two from", account.Update{From: "a@b.example, c@d.example"}, []string{"from"}},
		{"wildcard from", account.Update{From: "*@b.example"}, []string{"from"}},
		{"long name", account.Update{From: strings.Repeat("ä", 201) + " <a@b.example>"}, []string{"from"}},
		{"reply_to is no address", account.Update{ReplyTo: "nobody"}, []string{"reply_to"}},
		{"signature too long", account.Update{Signature: account.Signature{Text: long, HTML: long}}, []string{"signature.text", "signature.html"}},
		{"signature with control", account.Update{Signature: account.Signature{Text: "a\x1bb", HTML: "a\xffb"}}, []string{"signature.text", "signature.html"}},
		{
			"all at once",
			account.Update{Gateway: &account.GatewayUpdate{Type: "smtp", Port: 1, Auth: &account.AuthUpdate{}}, From: "x", ReplyTo: "y"},
			[]string{
				"gateway.host", "gateway.security", "gateway.port", "gateway.auth.username", "gateway.auth.password", "from", "reply_to",
			},
		},
	}
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	before, err := w.EmailSettings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.SaveEmail(t.Context(), waypost.CommandLine(), id, tt.update)
			if waypost.KindOf(err) != waypost.Invalid {
				t.Errorf("SaveEmail = %v, want Invalid", err)
			}
			if diff := cmp.Diff(tt.want, fields(err)); diff != "" {
				t.Error(diff)
			}
			_, err = w.Preview(t.Context(), id, tt.update)
			if diff := cmp.Diff(tt.want, fields(err)); diff != "" {
				t.Error("Preview:", diff)
			}
		})
	}
	after, err := w.EmailSettings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

func TestHostsAndPortsHaveOneForm(t *testing.T) {
	tests := []struct {
		host, want string
		security   waypost.Security
		port, at   int
	}{
		{" Mail.Acme.Example. ", "mail.acme.example", waypost.SecurityNone, 0, 25},
		{"bücher.example", "xn--bcher-kva.example", waypost.SecurityStartTLS, 0, 587},
		{"192.0.2.7", "192.0.2.7", waypost.SecurityTLS, 0, 465},
		{"[2001:DB8::1]", "2001:db8::1", waypost.SecurityTLS, 2525, 2525},
		{"::ffff:192.0.2.7", "192.0.2.7", waypost.SecurityTLS, 25, 25},
		{"relay", "relay", waypost.SecurityNone, 587, 587},
	}
	w := newWorld(t)
	id := w.operator(t, waypost.ProductCloud)
	for _, tt := range tests {
		got := w.save(t, id, account.Update{Gateway: &account.GatewayUpdate{
			Type: "smtp", Host: tt.host, Port: tt.port, Security: tt.security,
		}}).Gateway
		if got.Host != tt.want || got.Port != tt.at || got.Auth != nil {
			t.Errorf("%q becomes %+v", tt.host, got)
		}
	}
}

func TestSwitchingGatewaysKeepsTheOwnServer(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	w.save(t, id, ownServer())
	kept := w.get(t, id).Relay
	got := w.save(t, id, account.Update{Gateway: &account.GatewayUpdate{Type: waypost.GatewayBuiltin}})
	if got.Gateway.Type != waypost.GatewayBuiltin || got.SMTP == nil || !got.SMTP.Auth.PasswordSet {
		t.Errorf("settings = %+v, smtp %+v", got, got.SMTP)
	}
	if got.From != "Acme Alerts <alerts@acme.example>" {
		t.Errorf("from = %q, want it to stay", got.From)
	}
	got = w.save(t, id, account.Update{Gateway: &account.GatewayUpdate{Type: waypost.GatewaySMTP}})
	if got.Gateway.Type != waypost.GatewaySMTP {
		t.Errorf("gateway = %+v", got.Gateway)
	}
	if diff := cmp.Diff(kept, w.get(t, id).Relay); diff != "" {
		t.Error(diff)
	}
	if got = w.save(t, id, account.Update{}); got.Gateway != nil || got.SMTP == nil || len(got.Warnings) != 1 {
		t.Errorf("without a gateway: %+v", got)
	}
}

func TestFromInUseSaysWhy(t *testing.T) {
	sandbox, platform := route.Platform{}, route.Platform{Domain: "platform.example", From: waypost.Address{Email: "no-reply@platform.example"}}
	builtin, own := account.Update{Gateway: &account.GatewayUpdate{Type: "builtin"}}, ownServer()
	builtin.From = own.From
	tests := []struct {
		name     string
		platform route.Platform
		update   account.Update
		state    waypost.SenderState
		want     account.FromInUse
	}{
		{"own server", platform, own, "", account.FromInUse{Address: "alerts@acme.example", Name: "Acme Alerts"}},
		{"own server, rejected sender", platform, own, waypost.SenderRejected, account.FromInUse{Address: "alerts@acme.example", Name: "Acme Alerts"}},
		{"requested", platform, builtin, "", account.FromInUse{
			Address: "no-reply@platform.example", Name: "Acme Alerts", Reason: "the sender is requested and not in use on the built-in gateway",
		}},
		{"assigned", platform, builtin, waypost.SenderAssigned, account.FromInUse{Address: "alerts@acme.example", Name: "Acme Alerts"}},
		{"sandbox", sandbox, builtin, "", account.FromInUse{
			Address: "alerts@acme.example", Name: "Acme Alerts", Reason: "the sender is requested and not in use on the built-in gateway",
		}},
		{"no gateway", platform, account.Update{From: own.From}, "", account.FromInUse{Reason: "no gateway is chosen"}},
		{"no sender", platform, account.Update{Gateway: builtin.Gateway}, "", account.FromInUse{
			Address: "no-reply@platform.example", Name: "Acme Tracking", Reason: "there is no default sender",
		}},
		{"no sender in the sandbox", sandbox, account.Update{Gateway: builtin.Gateway}, "", account.FromInUse{
			Reason: "there is no default sender",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.serve(w.ring, tt.platform)
			id := w.operator(t, waypost.ProductServermate)
			got := w.save(t, id, tt.update)
			if tt.state != "" {
				authorize(t, w, id, "acme.example")
				senders, err := w.store.Senders(t.Context(), id)
				if err != nil || len(senders) != 1 {
					t.Fatal(senders, err)
				}
				before := senders[0].State
				senders[0].State = tt.state
				if err := w.system.DecideSender(t.Context(), waypost.CommandLine(), senders[0], before); err != nil {
					t.Fatal(err)
				}
				if got, err = w.EmailSettings(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(&tt.want, got.FromInUse); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRiskySettingsAreSavedWithAWarning(t *testing.T) {
	tests := []struct {
		security waypost.Security
		trustAll bool
		auth     *account.AuthUpdate
		want     string
	}{
		{waypost.SecurityNone, false, &account.AuthUpdate{Username: "u", Password: "p"}, "unencrypted"},
		{waypost.SecurityTLS, true, nil, "Any certificate"},
		{waypost.SecurityTLS, false, &account.AuthUpdate{Username: "u", Password: "p"}, ""},
		{waypost.SecurityNone, true, nil, ""},
	}
	w := newWorld(t)
	id := w.operator(t, waypost.ProductCloud)
	for _, tt := range tests {
		got := w.save(t, id, account.Update{Gateway: &account.GatewayUpdate{
			Type: "smtp", Host: "h.example", Security: tt.security, TrustAll: tt.trustAll, Auth: tt.auth,
		}}).Warnings
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s, trust_all %v: warnings %q, want %q", tt.security, tt.trustAll, got, tt.want)
		}
	}
}

func TestPreviewSavesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	w.save(t, id, account.Update{Gateway: &account.GatewayUpdate{Type: "builtin"}, From: "old@acme.example"})
	before := w.get(t, id)
	u := ownServer()
	u.Signature.Text = "new"
	a, err := w.Preview(t.Context(), id, u)
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := a.DefaultSender(); !ok || d.Address != "alerts@acme.example" || d.Name != "Acme Alerts" || d.State != waypost.SenderRequested {
		t.Errorf("default sender = %+v", d)
	}
	if a.Gateway != waypost.GatewaySMTP || a.Relay.Password != "hunter2" || !a.Relay.Guarded || a.Signature.Text != "new" {
		t.Errorf("preview = %+v", a)
	}
	w.dir = account.NewDirectory(account.DirectoryOptions{Store: w.store, System: w.system, Ring: w.ring})
	if diff := cmp.Diff(before, w.get(t, id)); diff != "" {
		t.Error("saved:", diff)
	}
}

// authorize makes a domain the operator's, as its checks would.
func authorize(t testing.TB, w *world, operatorID, name string) {
	t.Helper()
	now := waypost.FromMillis(waypost.Millis(time.Now()))
	d := waypost.Domain{ID: waypost.NewID(), OperatorID: operatorID, Name: name, Proof: "proof", Created: now}
	if err := w.store.ClaimDomain(t.Context(), waypost.CommandLine(), operatorID, d, 100); err != nil {
		t.Fatal(err)
	}
	d.Proven, d.Authorized = now, now
	check := store.DomainCheck{CheckedDomain: store.CheckedDomain{Domain: d, Checked: now, Next: now.Add(time.Hour)}}
	if _, err := w.system.SaveDomainCheck(t.Context(), check); err != nil {
		t.Fatal(err)
	}
}

func TestMailQueuedElsewhereIsNoWayAroundTheLimitOfTheDay(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t, waypost.ProductServermate)
	limit := 5
	if err := w.ChangeOperator(t.Context(), waypost.CommandLine(), id, account.OperatorChange{PerDay: &limit}); err != nil {
		t.Fatal(err)
	}
	w.save(t, id, ownServer())
	queue := func(n int, kind waypost.Kind) {
		t.Helper()
		now := time.Now()
		a := &store.Accepting{OperatorID: id, At: now, EraseAt: now.Add(time.Hour)}
		m := waypost.Message{ID: waypost.NewID(), OperatorID: id, Kind: kind, Lane: kind.Lane(), Created: now, Header: []byte("A: b\r\n\r\n")}
		m.BodyID = m.ID
		a.Messages, a.Bodies = []waypost.Message{m}, []store.Body{{ID: m.ID}}
		for i := range n {
			a.Deliveries = append(a.Deliveries, waypost.Delivery{
				ID: waypost.NewID(), OperatorID: id, MessageID: m.ID, Recipient: fmt.Sprintf("r%d@rcpt.example", i), Site: "rcpt.example", Kind: kind,
				Lane: m.Lane, State: waypost.Queued, Created: now, Updated: now, NextAt: now, Expires: now.Add(time.Hour),
			})
		}
		if err := w.store.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	queue(3, waypost.KindReport)
	queue(9, waypost.KindSecurity)
	builtin := account.Update{Gateway: &account.GatewayUpdate{Type: waypost.GatewayBuiltin}}
	own := account.Update{Gateway: &account.GatewayUpdate{Type: waypost.GatewaySMTP}}
	w.save(t, id, builtin)
	if n, err := w.store.BuiltinAccepted(t.Context(), id, time.Now().Add(-time.Hour)); err != nil || n != 3 {
		t.Errorf("%d are counted, %v", n, err)
	}
	w.save(t, id, own)
	if _, err := w.SaveEmail(t.Context(), waypost.CommandLine(), id, builtin); err == nil || waypost.AsError(err).Code != "queue_too_long" {
		t.Errorf("three more than the two that are left: %v", err)
	}
	if got := w.get(t, id).Gateway; got != waypost.GatewaySMTP {
		t.Errorf("gateway = %q", got)
	}
}
