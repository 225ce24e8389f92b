package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

func TestASiteThatAsksForLessMailIsLeftAloneWithAllItsDomains(t *testing.T) {
	mx := mailtest.StartSMTP(t, mailtest.Knobs{RcptTo: func(to string) mailtest.Answer {
		if strings.HasSuffix(to, "@one.test") {
			return mailtest.Answer{Reply: "421 4.7.0 [TSS04] Messages from 127.0.0.1 temporarily deferred"}
		}
		return mailtest.Answer{}
	}})
	srv := dnstest.Start(t, dnstest.Zones{
		"one.test": {"MX 10 a.host.test", "MX 20 b.host.test"}, "two.test": {"MX 10 b.host.test", "MX 20 a.host.test"},
		"other.test": {"MX 10 c.host.test"}, "a.host.test": {"A 127.0.0.1"}, "b.host.test": {"A 127.0.0.1"}, "c.host.test": {"A 127.0.0.1"},
	})
	a := start(t, settings(t, "WAYPOST_PLATFORM_DOMAIN=platform.test", "WAYPOST_DNS_RESOLVER="+srv.Addr,
		fmt.Sprintf("WAYPOST_MX_PORT=%d", mx.Port()), "WAYPOST_GUARD_ALLOW=127.0.0.0/8"))
	op, key := operator(t, a.Base, "")
	if err := submit(t, a, key, "someone@one.test", "Told"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if slowed, suspended := a.Queue.Slowed(); slowed != 1 || suspended != 1 {
			return fmt.Errorf("%d slowed, %d suspended", slowed, suspended)
		}
		return nil
	})
	// The other domain of the same hosts, which nobody has seen yet, waits; a third one does not.
	for _, to := range []string{"someone@two.test", "someone@other.test"} {
		if err := submit(t, a, key, to, "Not told"); err != nil {
			t.Fatal(err)
		}
	}
	account, err := a.Directory.Get(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		list, _, err := a.System.QueueList(t.Context(), waypost.QueueFilter{Domain: "two.test"}, "", 10)
		if err != nil || len(list) != 1 {
			return errors.Join(err, fmt.Errorf("%d deliveries to two.test", len(list)))
		}
		why := a.Queue.Why(account, &list[0])
		if !strings.HasPrefix(why, "the MX of two.test, shared with another domain, asked to be left alone until ") || !strings.Contains(why, "[TSS04]") {
			return fmt.Errorf("waits for: %s", why)
		}
		if list[0].Attempts != 0 {
			t.Errorf("%d attempts", list[0].Attempts)
		}
		return nil
	})
	if got := mx.WaitMails(t, 1); !strings.HasSuffix(got[0].To[0], "@other.test") {
		t.Errorf("%+v", got)
	}
	// Nobody but the first mail knocked at the hosts that are left alone.
	for _, command := range mx.Commands() {
		if strings.Contains(command, "@two.test") {
			t.Error(command)
		}
	}
}
