package e2e_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/dns/dnstest"
	"github.com/waypost/waypost/internal/mailtest"
)

// owned is an installation whose owner publishes the platform's records with a TTL of a
// second. An operator has a domain of its own, and mail goes to a fake MX.
type owned struct {
	*internet
	mx    *mailtest.SMTP
	owner *client.Client // with a key of the platform

	judged int // mails at the MX that were judged
	by     map[string]int
}

func newOwned(t *testing.T) *owned {
	t.Helper()
	zones := []dnstest.Zone{
		{Name: ".", Servers: []string{"a.root-servers.test"}},
		{Name: platform, Servers: []string{"ns1." + platform, "ns2." + platform}, Records: dnstest.Zones{"gw." + platform: {"A 192.0.2.1"}}},
		{Name: "2.0.192.in-addr.arpa", Servers: []string{"ns.isp.test"}, Records: dnstest.Zones{"1.2.0.192.in-addr.arpa": {"PTR gw." + platform + "."}}},
		{Name: "operator.test", Servers: []string{"ns1.operator.test"}},
		{Name: "rcpt.test", Servers: []string{"ns1.rcpt.test"}, Records: dnstest.Zones{
			"rcpt.test": {"MX 10 mx.rcpt.test."}, "mx.rcpt.test": {"A 127.0.0.1"},
		}},
	}
	o := &owned{mx: mailtest.StartSMTP(t, mailtest.Knobs{}), by: map[string]int{}}
	tree := dnstest.Plant(t, zones...)
	o.internet = &internet{tree: tree, installation: newInstallation(t,
		"PLATFORM_DOMAIN="+platform, "DNS_RESOLVER="+tree.Resolver.Addr, fmt.Sprintf("DNS_PORT=%d", tree.Port),
		fmt.Sprintf("MX_PORT=%d", o.mx.Port()), "SENDING_ADDRESSES=192.0.2.1",
	)}
	o.enter()
	o.server = o.start()
	t.Cleanup(o.server.stop)
	key, _ := o.credential("--platform", "--scope", "operators")
	o.owner = client.New("http://"+o.addr("http"), key)
	return o
}

// enter publishes what `platform dns` prints, but for some names.
func (o *owned) enter(but ...string) {
	o.installation.t.Helper()
	var printed struct {
		Records []struct{ Type, Name, Value string }
	}
	o.json(&printed, "platform", "dns")
	zone := map[string][]string{}
	for _, r := range printed.Records {
		zone[r.Name] = append(zone[r.Name], "1 "+rr(r.Type, r.Value))
	}
	for name, records := range zone {
		if slices.Contains(but, name) {
			records = nil
		}
		o.set(name, records...)
	}
}

// own gives an operator a sender at a domain of its own.
func (o *owned) own(t *testing.T) (key string) {
	t.Helper()
	key, _ = o.credential("--operator", o.installation.operator("Fleet", "servermate"))
	c := client.New("http://"+o.addr("http"), key)
	d := must(c.ClaimDomain(t.Context(), "operator.test"))(t)
	o.publish(d)
	if d = must(c.CheckDomain(t.Context(), d.ID))(t); d.State != "authorized" {
		t.Fatalf("%+v", d)
	}
	must(c.AddSender(t.Context(), "alarm@operator.test", "", true))(t)
	return key
}

// judge verifies every mail that came since the last call, against the DNS as it is now.
func (o *owned) judge(t *testing.T) {
	t.Helper()
	w := &world{installation: o.installation, dns: o.tree.Resolver}
	mails := o.mx.Mails()
	for _, m := range mails[o.judged:] {
		found, err := dkim.VerifyWithOptions(bytes.NewReader(m.Data), &dkim.VerifyOptions{LookupTXT: w.txt})
		if err != nil || len(found) != 1 || found[0].Err != nil {
			t.Fatalf("%s: %+v, %v\n%s", m.To[0], found, err, m.Data)
		}
		_, rest, _ := strings.Cut(fields(m.Data, "DKIM-Signature")[0], "s=")
		selector, _, _ := strings.Cut(rest, ";")
		o.by[found[0].Domain+" "+selector]++
	}
	o.judged = len(mails)
}

// load submits mails one after the other over two connections, one of an operator without
// and one with a domain, until stop is called.
func (o *owned) load(t *testing.T, keys ...string) (stop func()) {
	t.Helper()
	var senders sync.WaitGroup
	end := make(chan struct{})
	for i, key := range keys {
		c := dial(t, o.smtp()).login("x", key)
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				to := fmt.Sprintf("r%d-%d@rcpt.test", i, n)
				if code, text, err := c.send("alarm@operator.test", to, letter("alarm@operator.test", to, "x")); err != nil || code != 250 {
					t.Errorf("%s: %d %s %v", to, code, text, err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(end); senders.Wait() })
	t.Cleanup(stop)
	return stop
}

func TestRotationUnderLoadBreaksNoSignature(t *testing.T) {
	o := newOwned(t)
	own := o.own(t)
	plainKey, _ := o.credential("--operator", o.installation.operator("Other", "servermate"))
	stop := o.load(t, own, plainKey)
	defer stop()
	eventually(t, patience, "mail of both is signed", func() bool {
		o.judge(t)
		return o.by["operator.test wp1"] > 0 && o.by[platform+" wp1"] > 0
	})
	// The record of the other key is away: nothing is ever signed with it.
	o.enter("dkim2." + platform)
	looked := o.tree.Server("ns1."+platform).Count("dkim2."+platform, "TXT")
	if out := o.must("platform", "dkim", "rotate"); !strings.Contains(out, "wp2") {
		t.Errorf("it says %q", out)
	}
	eventually(t, patience, "the server has looked for the record", func() bool {
		o.judge(t)
		return o.tree.Server("ns1."+platform).Count("dkim2."+platform, "TXT") > looked
	})
	seen := o.judged
	eventually(t, patience, "mail flows on", func() bool { o.judge(t); return o.judged > seen+20 })
	if got := must(o.owner.PlatformDNS(t.Context()))(t); got.Rotation.Signing != "wp1" || got.Rotation.State != "record" {
		t.Errorf("%+v", got.Rotation)
	}
	o.enter()
	must(o.owner.RotateDKIM(t.Context()))(t)
	eventually(t, patience, "mail of both is signed with the other key", func() bool {
		o.judge(t)
		return o.by["operator.test wp2"] > 0 && o.by[platform+" wp2"] > 0
	})
	stop()
	got := must(o.owner.PlatformDNS(t.Context()))(t)
	if got.Rotation.Signing != "wp2" || got.Rotation.State != "keeping" || got.Rotation.Until.IsZero() {
		t.Errorf("%+v", got.Rotation)
	}
	// The one before stays, and so does what it signed; another rotation has to wait.
	o.enter()
	o.judged = 0
	o.judge(t)
	if words := o.refused("platform", "dkim", "rotate"); !strings.Contains(words, "wp1") {
		t.Errorf("it says %q", words)
	}
	t.Logf("signatures: %v", o.by)
}

func TestPlatformDNSChecksWhatIsPublished(t *testing.T) {
	o := newOwned(t)
	got := must(o.owner.PlatformDNS(t.Context()))(t)
	for _, r := range got.Records {
		if r.Required && r.Verdict != "ok" {
			t.Errorf("%+v", r)
		}
	}
	out := o.must("platform", "dns", "--check")
	says(t, out, "ok", "name of 192.0.2.1", "wp1 signs since")
	for name, part := range map[string]string{
		"dkim1." + platform: "dkim1", "wp2._domainkey." + platform: "selector2", "spf." + platform: "addresses",
		platform: "spf", "_dmarc." + platform: "dmarc", "bounce." + platform: "return_path_mx",
		"1.2.0.192.in-addr.arpa": "ptr", "gw." + platform: "helo",
	} {
		o.set(name)
		got := must(o.owner.PlatformDNS(t.Context()))(t)
		found := false
		for _, r := range got.Records {
			if r.Part == part {
				found = true
				if r.Verdict == "ok" || len(r.Advice) == 0 {
					t.Errorf("without %s: %+v", name, r)
				}
			}
		}
		if !found {
			t.Errorf("no part %s", part)
		}
		words := o.refused("platform", "dns", "--check")
		says(t, words, "not everything that is required is published")
		o.enter()
		o.set("gw."+platform, "A 192.0.2.1")
		o.set("1.2.0.192.in-addr.arpa", "PTR gw."+platform+".")
	}
	o.must("platform", "dns", "--check", "--json")
	// Printing needs no DNS.
	o.env["WAYPOST_DNS_RESOLVER"] = "127.0.0.1:1"
	o.must("platform", "dns")
	if words := o.refused("platform", "dns", "--check"); strings.Contains(words, "panic") {
		t.Error(words)
	}
}

func TestKeysOfAnUpstreamThatSignsAreNotRotatedHere(t *testing.T) {
	in := newInstallation(t, "PLATFORM_DOMAIN="+platform, "UPSTREAM_SIGNS=true", "UPSTREAM_MODE=instead",
		"UPSTREAM_URL=smtp://relay.test:25", "DKIM_TARGETS=a.relay.test,b.relay.test", "SPF_INCLUDE=relay.test")
	if words := in.refused("platform", "dkim", "rotate"); !strings.Contains(words, "UPSTREAM_SIGNS") {
		t.Errorf("it says %q", words)
	}
	if words := newInstallation(t).refused("platform", "dkim", "rotate"); !strings.Contains(words, "sandbox") {
		t.Errorf("it says %q", words)
	}
}
