package dnstest_test

import (
	"testing"

	mdns "github.com/miekg/dns"

	"github.com/waypost/waypost/internal/dns/dnstest"
)

func ask(t *testing.T, network, addr, name string, qtype uint16) *mdns.Msg {
	t.Helper()
	query := new(mdns.Msg)
	query.SetQuestion(mdns.Fqdn(name), qtype)
	resp, _, err := (&mdns.Client{Net: network}).ExchangeContext(t.Context(), query, addr)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestServerAnswersOverUDPAndTCP(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"Example.Test": {"MX 10 mx.example.test", "60 TXT hello"}, "alias.test": {"CNAME example.test"}})
	for _, network := range []string{"udp", "tcp"} {
		for _, tt := range []struct {
			name    string
			qtype   uint16
			rcode   int
			answers int
		}{
			{"example.test", mdns.TypeMX, mdns.RcodeSuccess, 1},
			{"EXAMPLE.test", mdns.TypeTXT, mdns.RcodeSuccess, 1},
			{"alias.test", mdns.TypeMX, mdns.RcodeSuccess, 2},
			{"example.test", mdns.TypeA, mdns.RcodeSuccess, 0},
			{"test", mdns.TypeA, mdns.RcodeSuccess, 0},
			{"unknown.test", mdns.TypeA, mdns.RcodeNameError, 0},
		} {
			resp := ask(t, network, srv.Addr, tt.name, tt.qtype)
			if resp.Rcode != tt.rcode || len(resp.Answer) != tt.answers || (tt.answers == 0) != (len(resp.Ns) == 1) {
				t.Errorf("%s %s:\n%v", network, tt.name, resp)
			}
		}
	}
	if n := srv.Count("example.test", "MX"); n != 2 {
		t.Errorf("%d questions counted for example.test MX, want 2", n)
	}
	if n := srv.Count("", ""); n != 12 {
		t.Errorf("%d questions counted, want 12", n)
	}
}

func TestSetRefusesWhatIsNoRecord(t *testing.T) {
	for _, text := range []string{"MX", "A 300.0.0.1", "", "NOSUCH x"} {
		if srv, err := dnstest.New(dnstest.Zones{"a.test": {text}}); err == nil {
			srv.Close()
			t.Errorf("%q is taken", text)
		}
	}
}

func TestFaultEndsWithNone(t *testing.T) {
	srv := dnstest.Start(t, dnstest.Zones{"a.test": {"A 192.0.2.1"}})
	srv.Fault("a.test", dnstest.ServFail)
	srv.FaultType("a.test", "MX", dnstest.Refuse)
	for qtype, want := range map[uint16]int{mdns.TypeA: mdns.RcodeServerFailure, mdns.TypeMX: mdns.RcodeRefused} {
		if got := ask(t, "udp", srv.Addr, "a.test", qtype).Rcode; got != want {
			t.Errorf("type %d: rcode %d, want %d", qtype, got, want)
		}
	}
	srv.Fault("a.test", dnstest.None)
	if got := ask(t, "udp", srv.Addr, "a.test", mdns.TypeA); len(got.Answer) != 1 {
		t.Error(got)
	}
}

func TestCloseMayBeCalledTwiceAndDropsHeldAnswers(t *testing.T) {
	srv, err := dnstest.New(dnstest.Zones{"a.test": {"A 192.0.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Hold("a.test")
	failed := make(chan error)
	go func() {
		query := new(mdns.Msg)
		query.SetQuestion("a.test.", mdns.TypeA)
		_, _, err := (&mdns.Client{Net: "tcp"}).ExchangeContext(t.Context(), query, srv.Addr)
		failed <- err
	}()
	srv.WaitFor(t, "a.test", "A", 1)
	srv.Close()
	srv.Close()
	if err := <-failed; err == nil {
		t.Error("a held answer was sent")
	}
}
