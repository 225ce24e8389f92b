package app_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// startOwned starts a server with a domain, whose owner reads mail at a fake exchanger.
func startOwned(t *testing.T) (*app.App, *mailtest.SMTP) {
	t.Helper()
	mx := mailtest.StartSMTP(t, mailtest.Knobs{})
	srv := dnstest.Start(t, dnstest.Zones{"owner.test": {"MX 10 mx.owner.test"}, "mx.owner.test": {"A 127.0.0.1"}})
	a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_DNS_RESOLVER="+srv.Addr,
		fmt.Sprintf("WAYPOST_MX_PORT=%d", mx.Port()), "WAYPOST_GUARD_ALLOW=127.0.0.0/8"))
	contact := "dns@owner.test"
	if err := a.Accounts.ChangeOperator(t.Context(), waypost.CommandLine(), waypost.PlatformOperatorID, account.OperatorChange{Contact: &contact}); err != nil {
		t.Fatal(err)
	}
	return a, mx
}

// rotate makes the other key sign, as of some time ago.
func rotate(t *testing.T, b *app.Base, ago time.Duration) {
	t.Helper()
	if _, err := b.RotateKeys(t.Context(), waypost.CommandLine()); err != nil {
		t.Fatal(err)
	}
	keys, err := b.System.DKIMKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Signs {
			continue
		}
		if err := b.System.SwitchDKIMKey(t.Context(), k, time.Now().Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
}

func record(b *app.Base, number int) string {
	for _, k := range b.Keys.Published() {
		if k.Number == number {
			return k.Record
		}
	}
	return ""
}

func TestAKeyKeptLongEnoughIsReplacedAndItsOwnerTold(t *testing.T) {
	a, mx := startOwned(t)
	first, second := record(a.Base, 1), record(a.Base, 2)
	rotate(t, a.Base, 38*24*time.Hour)
	eventually(t, func() error {
		if a.Keys.Signing() != "wp2" || record(a.Base, 1) == first {
			return fmt.Errorf("%s signs; not replaced", a.Keys.Signing())
		}
		return nil
	})
	if record(a.Base, 2) != second {
		t.Error("the key that signs was replaced")
	}
	mail := mx.WaitMails(t, 1)[0]
	text := string(bytes.ReplaceAll(mail.Data, []byte("=\r\n"), nil))
	text = strings.ReplaceAll(text, "=3D", "=")
	if mail.To[0] != "dns@owner.test" || !strings.Contains(text, "dkim1.platform.test") || !strings.Contains(text, record(a.Base, 1)[len("v=DKIM1; k=rsa; p="):][:100]) {
		t.Errorf("to %v:\n%s", mail.To, text)
	}
	// The new key is wanted and not published: it waits.
	status, err := a.RotateKeys(t.Context(), waypost.CommandLine())
	if err != nil || status.State != verify.RotationRecord || status.Signing.Selector != "wp2" {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestAKeyIsKeptForTheMailItSigned(t *testing.T) {
	a, _ := startOwned(t)
	first := record(a.Base, 1)
	rotate(t, a.Base, 36*24*time.Hour)
	eventually(t, func() error {
		if a.Keys.Signing() != "wp2" {
			return fmt.Errorf("%s signs", a.Keys.Signing())
		}
		return nil
	})
	if _, err := a.RotateKeys(t.Context(), waypost.CommandLine()); waypost.KindOf(err) != waypost.Conflict || record(a.Base, 1) != first {
		t.Errorf("%v", err)
	}
}

func TestSelectorsAreThoseOfTheSettings(t *testing.T) {
	c := settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_DKIM_SELECTORS=one,two")
	a := start(t, c)
	signer, err := a.Keys.Signer(t.Context(), "platform.test")
	if err != nil || signer.Selector != "one" || a.Keys.Signing() != "one" {
		t.Errorf("%s, %v", signer.Selector, err)
	}
	records, err := a.Records()
	if err != nil || records[2].Name != "one._domainkey.platform.test" {
		t.Errorf("%+v, %v", records, err)
	}
	status, err := a.RotateKeys(t.Context(), waypost.CommandLine())
	if err != nil || status.Other.Selector != "two" {
		t.Errorf("%+v, %v", status, err)
	}
}
