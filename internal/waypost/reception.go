package waypost

import "time"

// Reception is what a receiver makes of a message of ours.
type Reception struct {
	From     string        // address in the From field
	Peer     string        // who brought it
	TLS      string        // version and cipher suite, "" if it came in the clear
	Size     int           // bytes
	Latency  time.Duration // from its acceptance by us to its arrival
	SPF      SPFResult
	DKIM     []DKIMResult
	DMARC    DMARCResult
	Results  string   // the value of an Authentication-Results field (RFC 8601)
	Problems []string // what failed and what to do; empty if nothing did
}

// SPFResult is the result for the envelope sender.
type SPFResult struct {
	Result  string // "pass", "fail" ... (RFC 7208 section 2.6)
	Domain  string
	Aligned bool // with From, as its DMARC record wants it
	Reason  string
}

// DKIMResult is the result for one signature.
type DKIMResult struct {
	Result   string // "pass", "fail", "temperror" ... (RFC 8601 section 2.7.1)
	Domain   string
	Selector string
	Aligned  bool
	Reason   string
}

// DMARCResult is the result for the From domain.
type DMARCResult struct {
	Result string // "pass", "fail", "none", "temperror" (RFC 7489 section 11.2)
	Domain string
	Policy string // p= of the record, "" without one
	Reason string
}
