package verify

import (
	"errors"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// DMARC is a DMARC record (RFC 7489 section 6.3).
//
// The parser is our own because the record has two kinds of faults: some make it void, and
// others are passed over (section 6.6.3, step 6). Libraries that were tried do neither as
// receivers do.
type DMARC struct {
	Tags            []DMARCTag // all of them in order, v first
	Policy          DMARCPolicy
	SubdomainPolicy DMARCPolicy // Policy unless sp says otherwise
	StrictDKIM      bool        // adkim=s
	StrictSPF       bool        // aspf=s
	Percent         int         // of mail that the policy applies to
	Reports         []string    // rua: addresses for aggregate reports, as URIs
	Faults          []DMARCFlaw // what receivers pass over
}

// DMARCFlaw is a part of a record that receivers pass over.
type DMARCFlaw struct {
	Text   string         // in a few words
	Detail waypost.Detail // the same for who says it in another language
}

// DMARCTag is one name=value.
type DMARCTag struct{ Name, Value string }

// DMARCPolicy is what receivers are asked to do with mail that does not pass.
type DMARCPolicy string

// The policies.
const (
	DMARCNone       DMARCPolicy = "none"
	DMARCQuarantine DMARCPolicy = "quarantine"
	DMARCReject     DMARCPolicy = "reject"
)

// The ways in which text is not a valid DMARC record.
var (
	ErrNotDMARC       = errors.New("no DMARC record")                            // about something else
	ErrDMARCDuplicate = errors.New("a tag stands in it twice")                   // RFC 6376 section 3.2, whose syntax it is
	ErrDMARCPolicy    = errors.New("it has no p=none, p=quarantine or p=reject") // nor what would make up for it
)

// ParseDMARC reads a record. Text that does not begin as a DMARC record is ErrNotDMARC;
// every other error means a record without effect.
func ParseDMARC(text string) (DMARC, error) {
	d := DMARC{Percent: 100}
	for i, part := range strings.Split(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		name, value = trimWSP(name), trimWSP(value)
		// RFC 7489 section 6.3: v is the first tag, and its value is exact.
		if i == 0 && (!ok || !strings.EqualFold(name, "v") || value != "DMARC1") {
			return DMARC{}, ErrNotDMARC
		}
		switch {
		case trimWSP(part) == "":
			continue
		case !ok || name == "":
			d.fault(quoted(part)+" is not name=value", waypost.NewDetail(detailNotNameValue, "value", quoted(part)))
			continue
		}
		if d.has(name) {
			return DMARC{}, ErrDMARCDuplicate
		}
		d.Tags = append(d.Tags, DMARCTag{Name: name, Value: value})
	}
	return d, d.read()
}

// trimWSP removes WSP (RFC 5234 section B.1).
func trimWSP(s string) string { return strings.Trim(s, " \t") }

func (d *DMARC) fault(text string, detail waypost.Detail) {
	d.Faults = append(d.Faults, DMARCFlaw{Text: text, Detail: detail})
}

func (d *DMARC) has(name string) bool {
	return slices.ContainsFunc(d.Tags, func(t DMARCTag) bool { return strings.EqualFold(t.Name, name) })
}

// value returns the value of a tag, "" if it is not there.
func (d *DMARC) value(name string) string {
	for _, t := range d.Tags {
		if strings.EqualFold(t.Name, name) {
			return t.Value
		}
	}
	return ""
}

// read makes fields of tags. Unknown tags are ignored (RFC 7489 section 6.3).
func (d *DMARC) read() error {
	d.StrictDKIM = d.alignment("adkim")
	d.StrictSPF = d.alignment("aspf")
	if pct := d.value("pct"); d.has("pct") {
		n, err := strconv.ParseUint(pct, 10, 8)
		if err != nil || n > 100 {
			d.fault("pct="+quoted(pct)+" is not a number from 0 to 100", waypost.NewDetail(detailPercent, "value", quoted(pct)))
		} else {
			d.Percent = int(n)
		}
	}
	for uri := range strings.SplitSeq(d.value("rua"), ",") {
		if uri = trimWSP(uri); isReportURI(uri) {
			d.Reports = append(d.Reports, uri)
		} else if d.has("rua") {
			d.fault("rua has "+quoted(uri)+", which is not like mailto:reports@example.com", waypost.NewDetail(detailReports, "value", quoted(uri)))
		}
	}
	policy, ok := parseDMARCPolicy(d.value("p"))
	sub := policy
	subOK := !d.has("sp")
	if !subOK {
		sub, subOK = parseDMARCPolicy(d.value("sp"))
	}
	if !ok || !subOK {
		// RFC 7489 section 6.6.3, step 6.
		if len(d.Reports) == 0 {
			if ok {
				return errors.New("its sp=" + quoted(d.value("sp")) + " is not none, quarantine or reject")
			}
			return ErrDMARCPolicy
		}
		d.fault("p or sp is not none, quarantine or reject, so that both count as none", waypost.NewDetail(detailPolicies))
		policy, sub = DMARCNone, DMARCNone
	}
	d.Policy, d.SubdomainPolicy = policy, sub
	return nil
}

func (d *DMARC) alignment(tag string) (strict bool) {
	switch v := strings.ToLower(d.value(tag)); {
	case v == "s":
		return true
	case v != "r" && d.has(tag):
		d.fault(tag+"="+quoted(v)+" is neither r nor s, and counts as r", waypost.NewDetail(detailAlignment, "tag", tag, "value", quoted(v)))
	}
	return false
}

func parseDMARCPolicy(s string) (DMARCPolicy, bool) {
	switch p := DMARCPolicy(strings.ToLower(s)); p {
	case DMARCNone, DMARCQuarantine, DMARCReject:
		return p, true
	}
	return "", false
}

// isReportURI is RFC 7489 section 6.2: a URI, perhaps with a size limit ("!10m"). Of all
// schemes receivers know mailto only.
func isReportURI(s string) bool {
	s, _, _ = strings.Cut(s, "!")
	u, err := url.Parse(s)
	if err != nil || !strings.EqualFold(u.Scheme, "mailto") {
		return false
	}
	addr, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return false
	}
	_, err = mail.ParseAddress("<" + addr + ">")
	return err == nil
}

// String returns the record as it is published.
func (d DMARC) String() string {
	tags := make([]string, 0, len(d.Tags))
	for _, t := range d.Tags {
		tags = append(tags, t.Name+"="+t.Value)
	}
	return strings.Join(tags, "; ")
}
