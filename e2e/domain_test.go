package e2e_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
)

// internet is an installation with authoritative name servers for its own domain and for
// those of operators, and a return path that its own mail comes back to.
type internet struct {
	*installation
	*server
	tree *dnstest.Tree
}

func newInternet(t *testing.T, domains ...string) *internet {
	t.Helper()
	return newInternetWith(t, nil, domains...)
}

// newInternetWith has other settings too.
func newInternetWith(t *testing.T, settings []string, domains ...string) *internet {
	t.Helper()
	zones := []dnstest.Zone{
		{Name: ".", Servers: []string{"a.root-servers.test"}},
		{Name: platform, Servers: []string{"ns." + platform}, Records: dnstest.Zones{"gw." + platform: {"A 127.0.0.99"}}},
	}
	for _, d := range domains {
		zones = append(zones, dnstest.Zone{Name: d, Servers: []string{"ns1." + d, "ns2." + d}})
	}
	tree := dnstest.Plant(t, zones...)
	free, err := net.Listen("tcp", "127.0.0.99:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	n := &internet{tree: tree, installation: newInstallation(t, append([]string{
		"PLATFORM_DOMAIN=" + platform, "DNS_RESOLVER=" + tree.Resolver.Addr, fmt.Sprintf("DNS_PORT=%d", tree.Port),
		fmt.Sprintf("MX_PORT=%d", port), fmt.Sprintf("BOUNCE_ADDR=127.0.0.99:%d", port), "SENDING_ADDRESSES=127.0.0.1",
	}, settings...)...)}
	var records struct {
		Records []struct{ Type, Name, Value string }
	}
	n.json(&records, "platform", "dns")
	zone := map[string][]string{}
	for _, r := range records.Records {
		zone[r.Name] = append(zone[r.Name], rr(r.Type, r.Value))
	}
	for name, list := range zone {
		n.set(name, list...)
	}
	n.server = n.start()
	t.Cleanup(n.server.stop)
	return n
}

// rr is a record as zone files have it.
func rr(kind, value string) string {
	if kind == "TXT" {
		value = quoted(value)
	}
	return kind + " " + value
}

// set changes what all servers of a zone say.
func (n *internet) set(name string, records ...string) { n.tree.Set(name, records...) }

func (n *internet) operator(name string) *client.Client {
	key, _ := n.credential("--operator", n.installation.operator(name, "servermate"))
	return client.New("http://"+n.addr("http"), key)
}

// publish enters what a domain's page says, but for some parts.
func (n *internet) publish(d client.Domain, but ...string) {
	zone := map[string][]string{}
	for _, r := range d.Records {
		if !slices.Contains(but, r.Part) {
			zone[r.Record.Name] = append(zone[r.Record.Name], rr(r.Record.Type, r.Record.Value))
		}
	}
	for name, records := range zone {
		n.set(name, records...)
	}
}

func record(t testing.TB, d client.Domain, part string) client.DomainRecord {
	t.Helper()
	for _, r := range d.Records {
		if r.Part == part {
			return r
		}
	}
	t.Fatalf("%s has no %s: %+v", d.Domain, part, d.Records)
	return client.DomainRecord{}
}

// verified sends a test mail to the server itself and returns what it makes of it.
func verified(t testing.TB, c *client.Client) *client.Received {
	t.Helper()
	got, err := c.VerifySettings(t.Context())
	if err != nil || got.Status != "delivered" || got.Received == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	return got.Received
}

// must is for calls that have to succeed: must(call())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The way of an operator: nothing, a default sender, a domain, its records, a sender of
// its own, and the proof that receivers believe it.
func TestAnOwnAddressFromNothingToDMARCPass(t *testing.T) {
	n := newInternet(t, "operator.test")
	c := n.operator("Fleet")
	got := verified(t, c)
	if got.From != "no-reply@"+platform || got.DMARC.Result != "pass" || got.SPF.Result != "pass" || got.DKIM[0].Domain != platform {
		t.Fatalf("with nothing set up: %+v", got)
	}

	d, err := c.ClaimDomain(t.Context(), "Operator.TEST.")
	if err != nil || d.State != "claimed" || len(d.Records) != 6 {
		t.Fatalf("%+v, %v", d, err)
	}
	sender := must(c.AddSender(t.Context(), "alarm@operator.test", "Fleet Alarm", true))(t)
	if sender.State != "requested" {
		t.Errorf("a sender at a domain that is not authorized is %s", sender.State)
	}
	n.publish(d, "return_path", "dmarc")
	if d, err = c.CheckDomain(t.Context(), d.ID); err != nil || d.State != "proven" {
		t.Fatalf("%+v, %v", d, err)
	}
	if got := verified(t, c); got.From != "no-reply@"+platform {
		t.Errorf("before DMARC is published it leaves as %s", got.From)
	}
	n.publish(d, "return_path")
	if d, err = c.CheckDomain(t.Context(), d.ID); err != nil || d.State != "authorized" {
		t.Fatalf("%+v, %v", d, err)
	}
	if senders := must(c.Senders(t.Context()))(t); senders[0].State != "assigned" {
		t.Errorf("%+v", senders)
	}

	got = verified(t, c)
	if got.From != "alarm@operator.test" || got.SPF.Result != "pass" || got.SPF.Aligned || got.DKIM[0].Result != "pass" ||
		got.DKIM[0].Domain != "operator.test" || got.DMARC.Result != "pass" || got.TLS == "" {
		t.Errorf("without a return path of its own: %+v", got)
	}
	says(t, got.Results, "spf=pass", "dkim=pass", "dmarc=pass")

	n.publish(d)
	if d, err = c.CheckDomain(t.Context(), d.ID); err != nil || !d.ReturnPath {
		t.Fatalf("%+v, %v", d, err)
	}
	got = verified(t, c)
	if got.SPF.Domain != "bounce.operator.test" || !got.SPF.Aligned || got.DMARC.Result != "pass" || len(got.Problems) != 0 {
		t.Errorf("with one: %+v", got)
	}
	if d.Zone != "" {
		t.Errorf("still to be published: %s", d.Zone)
	}
	if all := must(c.Domains(t.Context()))(t); len(all) != 1 || all[0].State != "authorized" {
		t.Errorf("%+v", all)
	}
	// A domain that is given up takes its senders' use with it.
	if err := c.RemoveDomain(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if got := verified(t, c); got.From != "no-reply@"+platform || got.DMARC.Result != "pass" {
		t.Errorf("after the domain was given up: %+v", got)
	}
	if err := c.RemoveSender(t.Context(), sender.ID); err != nil {
		t.Error(err)
	}
}

// Each record broken in turn, and the advice for it.
func TestEachBrokenRecordIsExplained(t *testing.T) {
	n := newInternet(t, "operator.test")
	c := n.operator("Fleet")
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	n.publish(d)
	if d = must(c.CheckDomain(t.Context(), d.ID))(t); d.State != "authorized" {
		t.Fatalf("%+v", d)
	}
	own, spf := record(t, d, "ownership").Record.Value, record(t, d, "spf").Record.Value
	dkim1 := record(t, d, "dkim1").Record
	for name, broken := range map[string]struct {
		owner   string
		records []string
		part    string
		verdict string
		code    string
	}{
		"no ownership":         {"operator.test", []string{rr("TXT", spf)}, "ownership", "missing", "ownership_missing"},
		"another key":          {"operator.test", []string{rr("TXT", spf), rr("TXT", "waypost_verify.0123456789")}, "ownership", "wrong", "ownership_wrong"},
		"no SPF":               {"operator.test", []string{rr("TXT", own)}, "spf", "missing", "spf_missing"},
		"SPF of others":        {"operator.test", []string{rr("TXT", own), rr("TXT", "v=spf1 mx -all")}, "spf", "wrong", "spf_include_missing"},
		"two SPF records":      {"operator.test", []string{rr("TXT", own), rr("TXT", spf), rr("TXT", "v=spf1 mx -all")}, "spf", "wrong", "spf_two_records"},
		"DKIM missing":         {dkim1.Name, nil, "dkim1", "missing", "dkim_missing"},
		"DKIM elsewhere":       {dkim1.Name, []string{"CNAME other.test."}, "dkim1", "wrong", "dkim_wrong"},
		"DKIM value doubled":   {dkim1.Name, []string{"CNAME dkim1." + platform + ".operator.test."}, "dkim1", "wrong", "dkim_wrong"},
		"DKIM as text":         {dkim1.Name, []string{`TXT "v=DKIM1; p=AAAA"`}, "dkim1", "wrong", "dkim_text"},
		"no DMARC":             {"_dmarc.operator.test", nil, "dmarc", "missing", "dmarc_missing"},
		"DMARC without policy": {"_dmarc.operator.test", []string{`TXT "v=DMARC1; p=nothing"`}, "dmarc", "wrong", "dmarc_invalid"},
		"no return path":       {"bounce.operator.test", nil, "return_path", "missing", "return_path_missing"},
	} {
		n.set(broken.owner, broken.records...)
		got := must(c.CheckDomain(t.Context(), d.ID))(t)
		r := record(t, got, broken.part)
		codes := make([]string, 0, len(r.Advice))
		for _, a := range r.Advice {
			codes = append(codes, a.Code)
			if a.Text == "" {
				t.Errorf("%s: no sentence", name)
			}
		}
		if r.Verdict != broken.verdict || !slices.Contains(codes, broken.code) {
			t.Errorf("%s: %s %v, want %s %s\n%+v", name, r.Verdict, codes, broken.verdict, broken.code, r)
		}
		for _, other := range got.Records {
			if other.Part != broken.part && other.Verdict != "ok" {
				t.Errorf("%s: %s is %s too", name, other.Part, other.Verdict)
			}
		}
		if got.State != "authorized" {
			t.Errorf("%s: one look is enough to end the authorization", name)
		}
		n.publish(d)
	}
	if got := must(c.CheckDomain(t.Context(), d.ID))(t); got.State != "authorized" || strings.TrimSpace(got.Zone) != "" {
		t.Errorf("%+v", got)
	}
}

// One domain, two operators: who has published its own key, and alone, has the domain.
func TestTwoOperatorsClaimOneDomain(t *testing.T) {
	n := newInternet(t, "operator.test")
	a, b := n.operator("First"), n.operator("Second")
	first, second := must(a.ClaimDomain(t.Context(), "operator.test"))(t), must(b.ClaimDomain(t.Context(), "operator.test"))(t)
	keyA, keyB := record(t, first, "ownership").Record.Value, record(t, second, "ownership").Record.Value
	if keyA == keyB {
		t.Fatal("two operators have one key")
	}
	spf := rr("TXT", record(t, first, "spf").Record.Value)
	n.publish(first)
	if got := must(a.CheckDomain(t.Context(), first.ID))(t); got.State != "authorized" {
		t.Fatalf("%+v", got)
	}
	n.set("operator.test", spf, rr("TXT", keyA), rr("TXT", keyB))
	got := must(b.CheckDomain(t.Context(), second.ID))(t)
	if got.State != "claimed" || record(t, got, "ownership").Advice[0].Code != "ownership_other" {
		t.Errorf("while the first key is there: %+v", got)
	}
	if _, err := a.AddSender(t.Context(), "a@operator.test", "", true); err != nil {
		t.Fatal(err)
	}
	n.set("operator.test", spf, rr("TXT", keyB))
	if got := must(b.CheckDomain(t.Context(), second.ID))(t); got.State != "authorized" {
		t.Errorf("with the first key gone: %+v", got)
	}
	if got := must(a.Domain(t.Context(), first.ID))(t); got.State != "claimed" {
		t.Errorf("the first still has it: %+v", got)
	}
	if got := verified(t, a); got.From != "no-reply@"+platform {
		t.Errorf("the first still sends as %s", got.From)
	}
	for _, bad := range []string{"co.uk", platform, "mail." + platform, "127.0.0.1", "localhost", "exa mple.test"} {
		if _, err := a.ClaimDomain(t.Context(), bad); err == nil {
			t.Errorf("%q was claimed", bad)
		}
	}
}

// An operator's own server is judged in the same way: its mail comes back through the
// front door, from that server.
func TestOwnServersMailIsJudgedWhenItComesBack(t *testing.T) {
	var front string // set before the first mail
	relay := mailtest.StartSMTP(t, mailtest.Knobs{Message: func(m mailtest.ReceivedMail) mailtest.Answer {
		if err := bring(front, m); err != nil {
			t.Error(err)
		}
		return mailtest.Answer{}
	}})
	n := newInternetWith(t, []string{fmt.Sprintf("RELAY_PORTS=%d", relay.Port())}, "operator.test")
	front = n.addr("bounce")
	c := n.operator("Fleet")
	n.set("operator.test", rr("TXT", "v=spf1 ip4:127.0.0.1 -all"))
	n.set("_dmarc.operator.test", rr("TXT", "v=DMARC1; p=reject"))
	if _, err := c.SaveSettings(t.Context(), client.Settings{
		Gateway: &client.Gateway{Type: "smtp", Host: "127.0.0.1", Port: relay.Port(), Security: "none"}, From: "Fleet <alarm@operator.test>",
	}); err != nil {
		t.Fatal(err)
	}
	got := verified(t, c)
	if got.From != "alarm@operator.test" || got.SPF.Result != "pass" || !got.SPF.Aligned || len(got.DKIM) != 0 ||
		got.DMARC.Result != "pass" || got.DMARC.Policy != "reject" {
		t.Errorf("%+v", got)
	}
	if len(got.Problems) == 0 || !strings.Contains(got.Problems[0], "DKIM") {
		t.Errorf("nobody is told that the own server does not sign: %q", got.Problems)
	}
	n.set("operator.test", rr("TXT", "v=spf1 -all"))
	if got := verified(t, c); got.SPF.Result != "fail" || got.DMARC.Result != "fail" || len(got.Problems) < 3 {
		t.Errorf("with an SPF record that forbids it: %+v", got)
	}
}

// bring delivers a mail as a server does that does not check certificates.
func bring(addr string, m mailtest.ReceivedMail) error {
	c, err := smtp.DialStartTLS(addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(c.SendMail(m.From, m.To, bytes.NewReader(m.Data)), c.Quit())
}
