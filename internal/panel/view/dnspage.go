package view

// DNSPage is the page of a domain for whoever runs its DNS.
type DNSPage struct {
	Domain  string // "" for a page that says why there is none
	Text    string // that
	Refresh string // seconds after which it loads anew without scripts, "" for never
	Expires string
	Live    DomainLive
}
