package verify

import (
	"net/netip"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// Settings are what the platform asks of operators' domains.
type Settings struct {
	Platform  string       // platform domain, A-labels
	Prefix    string       // of the ownership record: "<prefix>_verify.KEY"
	Include   string       // what SPF records of operators include: "spf.<platform>"
	Selectors [2]string    // of the DKIM records: "wp1", "wp2"
	Targets   [2]string    // where they point to: "dkim1.<platform>", "dkim2.<platform>"
	Addresses []netip.Addr // that mail leaves from

	// UpstreamSigns says that the platform's upstream relay signs for the domains: the
	// targets are its, a key has to be behind each, and the return path is its business.
	UpstreamSigns bool
}

// ownership is the record that proves a domain. Without a key there is none yet.
func (s Settings) ownership(d waypost.Domain) Record {
	if d.Proof == "" {
		return Record{Type: "TXT", Name: d.Name}
	}
	return Record{Type: "TXT", Name: d.Name, Value: s.Prefix + "_verify." + d.Proof}
}

func (s Settings) dkim(d waypost.Domain, i int) Record {
	return Record{Type: "CNAME", Name: s.Selectors[i] + "._domainkey." + d.Name, Value: s.Targets[i] + "."}
}

func (s Settings) returnPath(d waypost.Domain) Record {
	return Record{Type: "CNAME", Name: route.BounceDomain(d.Name), Value: route.BounceDomain(s.Platform) + "."}
}

// SigningPart is the part that holds the key of a selector.
func (s Settings) SigningPart(selector string) Part {
	if selector == s.Selectors[1] {
		return DKIM2
	}
	return DKIM1
}
