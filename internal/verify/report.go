package verify

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
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

// storedReport is how a report is kept: as it is shown to programs, with the details of its
// advice beside it by "item.advice".
type storedReport struct {
	Items   []Item                    `json:"records"`
	At      time.Time                 `json:"at"`
	Details map[string]waypost.Detail `json:"details,omitempty"`
}

func detailKey(item, advice int) string { return strconv.Itoa(item) + "." + strconv.Itoa(advice) }

// MarshalJSON implements json.Marshaler.
func (r Report) MarshalJSON() ([]byte, error) {
	s := storedReport{Items: r.Items, At: r.At, Details: map[string]waypost.Detail{}}
	for i, item := range r.Items {
		for j, a := range item.Advice {
			if a.Detail != "" {
				s.Details[detailKey(i, j)] = a.Detail
			}
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Report) UnmarshalJSON(text []byte) error {
	var s storedReport
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	for i, item := range s.Items {
		for j := range item.Advice {
			item.Advice[j].Detail = s.Details[detailKey(i, j)]
		}
	}
	r.Items, r.At = s.Items, s.At
	return nil
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
