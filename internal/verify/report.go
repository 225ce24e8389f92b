package verify

import (
	"strings"
	"time"
)

// Verdict is what a check thinks of one record.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Missing Verdict = "missing" // nothing is there
	Wrong   Verdict = "wrong"   // something else is there
	Unknown Verdict = "unknown" // the DNS could not be asked; nothing follows from it
)

// Part names what a record is for.
type Part string

// The parts of a domain's set-up.
const (
	Ownership  Part = "ownership"
	SPFPart    Part = "spf"
	DKIM1      Part = "dkim1"
	DKIM2      Part = "dkim2"
	DMARCPart  Part = "dmarc"
	ReturnPath Part = "return_path"
)

// Item is one record of a report: what to publish, what is there, and what to do.
type Item struct {
	Part     Part     `json:"part"`
	Required bool     `json:"required"` // for authorization; else recommended
	Record   Record   `json:"record"`   // to publish
	Found    []string `json:"found"`    // at the authoritative servers, in zone file form
	Verdict  Verdict  `json:"verdict"`
	Advice   []Advice `json:"advice"`  // empty if there is nothing to do
	Servers  string   `json:"servers"` // what only some name servers, or only caches, see; "" if all agree
}

// What Item.Servers says.
const (
	serversDiffer = "Not all name servers have the same yet; different at "
	serversCached = "Published. Resolvers that asked before still remember that there was nothing; that passes within hours."
)

// Behind takes Servers apart, for who says it in another language: the name servers that
// have something else, as a list for people, or that only caches do not see the record yet.
func (i Item) Behind() (servers string, cached bool) {
	servers, differ := strings.CutPrefix(i.Servers, serversDiffer)
	if !differ {
		servers = ""
	}
	return strings.TrimSuffix(servers, "."), i.Servers == serversCached
}

// Report is the outcome of one check of a domain.
type Report struct {
	Items []Item    `json:"records"`
	At    time.Time `json:"at"`
}

// Item returns the item of a part, a zero one if there is none.
func (r Report) Item(p Part) Item {
	for _, i := range r.Items {
		if i.Part == p {
			return i
		}
	}
	return Item{}
}

// Ready reports whether all that authorization takes is there.
func (r Report) Ready() bool {
	for _, i := range r.Items {
		if i.Required && i.Verdict != OK {
			return false
		}
	}
	return len(r.Items) > 0
}
