// Package verify knows which DNS records mail needs: what the platform's owner has to
// publish so that the built-in gateway's mail passes SPF, DKIM and DMARC.
package verify

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/route"
)

// Record is a DNS record to publish.
type Record struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Platform is what the platform's own records depend on.
type Platform struct {
	Domain    string       // platform domain
	From      string       // domain of the default sender
	Hostname  string       // of this host: where bounces go
	Addresses []netip.Addr // that mail leaves from
	Keys      []Key        // both, always: one signs, the other is ready
}

// Key is a DKIM key as it is published.
type Key struct {
	Number   int    // 1, 2: dkim1, dkim2
	Selector string // "wp1", "wp2"
	Record   string // "v=DKIM1; k=rsa; p=..."
}

// Records lists the platform's records in the order an owner would enter them. The
// keys stand at dkimN.<platform domain>, where the domains of operators point their
// selectors to as well.
func Records(p Platform) []Record {
	records := make([]Record, 0, 12)
	for _, k := range p.Keys {
		records = append(records, KeyRecords(p, k)[0])
	}
	for _, k := range p.Keys {
		records = append(records, KeyRecords(p, k)[1])
	}
	spf := SPFName(p.Domain)
	bounce := route.BounceDomain(p.Domain)
	records = append(records,
		Record{"TXT", spf, addressSPF(p.Addresses)},
		Record{"TXT", p.From, "v=spf1 include:" + spf + " -all"},
		Record{"TXT", "_dmarc." + p.From, "v=DMARC1; p=none;"},
		Record{"MX", bounce, "10 " + p.Hostname + "."},
		Record{"TXT", bounce, "v=spf1 include:" + spf + " -all"},
	)
	return records
}

// KeyRecords are the two records of a key: itself, and what points to it from the default
// sender's domain.
func KeyRecords(p Platform, k Key) [2]Record {
	return [2]Record{
		{"TXT", dkimName(k.Number, p.Domain), k.Record},
		{"CNAME", k.Selector + "._domainkey." + p.From, dkimName(k.Number, p.Domain) + "."},
	}
}

// SPFName is where the addresses of the platform are published for inclusion.
func SPFName(platformDomain string) string { return "spf." + platformDomain }

func dkimName(number int, domain string) string {
	return "dkim" + strconv.Itoa(number) + "." + domain
}

// addressSPF is the record that names the addresses (RFC 7208 section 5.6). Without
// any it allows none, which is what is true.
func addressSPF(addrs []netip.Addr) string {
	var b strings.Builder
	b.WriteString("v=spf1")
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			b.WriteString(" ip4:" + a.String())
		} else {
			b.WriteString(" ip6:" + a.WithZone("").String())
		}
	}
	b.WriteString(" -all")
	return b.String()
}

// ZoneLine is the record as a line of a zone file (RFC 1035 section 5.1). TXT text is
// split into strings of at most 255 bytes.
func (r Record) ZoneLine() string {
	value := r.Value
	if r.Type == "TXT" {
		var parts []string
		for len(value) > 255 {
			parts = append(parts, strconv.Quote(value[:255]))
			value = value[255:]
		}
		value = strings.Join(append(parts, strconv.Quote(value)), " ")
	}
	return r.Name + ". 3600 IN " + r.Type + " " + value
}
