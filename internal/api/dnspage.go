package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// How soon a domain's page loads anew: usually, and while a check is under way.
const (
	refreshUsual = time.Minute
	refreshSoon  = 10 * time.Second
)

// dnsPages writes the page of a domain for whoever runs its DNS.
type dnsPages struct {
	template *template.Template
	policy   string // Content-Security-Policy
	style    template.CSS
	script   template.JS
}

func newDNSPages() *dnsPages {
	file := func(name string) []byte {
		b, err := pageFiles.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("api: page of a domain: %v", err))
		}
		return b
	}
	hash := func(b []byte) string {
		sum := sha256.Sum256(b)
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	style, script := file("dnspage.css"), file("dnspage.js")
	return &dnsPages{
		template: template.Must(template.ParseFS(pageFiles, "dnspage.html")),
		policy: "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) +
			"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		style: template.CSS(style), script: template.JS(script), //nolint:gosec // our own files
	}
}

// dnsPage is what the page shows.
type dnsPage struct {
	Style  template.CSS
	Script template.JS
	Title  string
	Text   string // instead of a domain: why there is none

	Domain       string
	State        string // claimed, proven or authorized
	Right        int    // required records that are
	Required     int
	Records      []dnsRecord
	Zone         string
	Checked      string
	Expires      string
	Refresh      int // seconds
	HasCNAME     bool
	NothingToDo  bool
	StillChecked bool
}

// dnsRecord is one record on the page.
type dnsRecord struct {
	verify.Item
	Title string
	Why   string
	Label string // of the verdict
}

// serveDNSPages serves the pages that links lead to. Nobody has to sign in: the token is
// what counts, and it says all that may be read.
func (s *server) serveDNSPages() {
	pages := newDNSPages()
	s.mux.HandleFunc("GET /dns/{token}", func(w http.ResponseWriter, r *http.Request) {
		page, status := s.dnsPage(r)
		page.Style, page.Script = pages.style, pages.script
		var out bytes.Buffer
		if err := pages.template.Execute(&out, page); err != nil {
			s.answer(w, s.internal(r.Context(), nil, fmt.Errorf("page of a domain: %w", err)))
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", pages.policy)
		h.Set("X-Robots-Tag", "noindex, nofollow, noarchive")
		if status == http.StatusTooManyRequests {
			h.Set("Retry-After", "30")
		}
		w.WriteHeader(status)
		_, _ = w.Write(out.Bytes()) // a client that is gone reads nothing
	})
}

// dnsPage finds out what to show. Whatever is wrong with a link, it looks the same.
func (s *server) dnsPage(r *http.Request) (dnsPage, int) {
	ctx, now := r.Context(), time.Now()
	tooMany := dnsPage{Title: "Too many requests", Text: "There were too many requests from your network. Load this page again in a minute."}
	gone := dnsPage{Title: "This link does not work", Text: "It has ended, or it is not complete. Ask whoever sent it to you for a new one."}
	l, ok := s.LinkKeys.Read(r.PathValue("token"))
	switch {
	case !ok && !s.failures.allow(peerOf(ctx)):
		return tooMany, http.StatusTooManyRequests
	case !ok || !now.Before(l.Expires):
		return gone, http.StatusNotFound
	case !s.looks.allow(network(peerOf(ctx))):
		return tooMany, http.StatusTooManyRequests
	}
	page, err := s.lookAtDomain(ctx, l, now)
	if waypost.KindOf(err) == waypost.NotFound {
		return gone, http.StatusNotFound
	}
	if err != nil {
		p := s.internal(ctx, nil, fmt.Errorf("page of a domain: %w", err))
		return dnsPage{Title: "This did not work", Text: "It is our fault, and we have a note of it (" + p.ErrorID + "). Load this page again in a minute."}, p.Status
	}
	return page, http.StatusOK
}

// lookAtDomain reads a domain, and has it checked if the last check is a minute ago.
func (s *server) lookAtDomain(ctx context.Context, l verify.Link, now time.Time) (dnsPage, error) {
	d, err := s.Store.Domain(ctx, l.OperatorID, l.DomainID)
	if err != nil {
		return dnsPage{}, err
	}
	soon := d.Checked.Add(lookSoon)
	if soon.Before(now) {
		soon = now
	}
	if err := s.Store.LookAtDomain(ctx, l.OperatorID, l.DomainID, now, soon); err != nil {
		return dnsPage{}, err
	}
	shown := showDomain(d)
	page := dnsPage{
		Title: "DNS records of " + d.Name, Domain: d.Name, State: shown.State, Zone: shown.Zone, Expires: minute(l.Expires), Checked: second(d.Checked),
		Refresh: int(refreshUsual.Seconds()), StillChecked: !soon.After(now), NothingToDo: len(shown.Records) > 0 && shown.Zone == "",
	}
	if page.StillChecked {
		page.Refresh = int(refreshSoon.Seconds())
	}
	for _, item := range shown.Records {
		if item.Required {
			page.Required++
			if item.Verdict == verify.OK {
				page.Right++
			}
		}
		page.HasCNAME = page.HasCNAME || item.Record.Type == "CNAME"
		page.NothingToDo = page.NothingToDo && item.Verdict == verify.OK
		page.Records = append(page.Records, showRecord(item))
	}
	return page, nil
}

func showRecord(item verify.Item) dnsRecord {
	r := dnsRecord{Item: item, Label: map[verify.Verdict]string{
		verify.OK: "Right", verify.Missing: "Missing", verify.Wrong: "Wrong", verify.Unknown: "Not known",
	}[item.Verdict]}
	if item.Verdict == verify.Missing && !item.Required {
		r.Label = "Recommended"
	}
	switch item.Part {
	case verify.Ownership:
		r.Title, r.Why = "Ownership", "Proves who may use the domain."
	case verify.DKIM1, verify.DKIM2:
		r.Title, r.Why = "DKIM, first key", "Receivers find the key of the mail's signature here."
		if item.Part == verify.DKIM2 {
			r.Title, r.Why = "DKIM, second key", "The keys take turns, so both are needed."
		}
	case verify.SPFPart:
		r.Title, r.Why = "SPF", "Says which servers may send mail for the domain. There can be only one such record."
	case verify.DMARCPart:
		r.Title, r.Why = "DMARC", "Says what receivers do with mail that fails the other checks."
	default: // the return path
		r.Title, r.Why = "Return path", "Mail that cannot be delivered comes back to this name."
	}
	return r
}

func minute(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

func second(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04:05 UTC")
}
