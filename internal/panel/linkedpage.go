package panel

import (
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// How soon the page behind a link loads anew where no script does that, in seconds:
// usually, and while a check is under way.
const (
	refreshUsual = "60"
	refreshSoon  = "10"
)

// linkedPage is the page of a domain for whoever runs its DNS. Nobody has to sign in: the
// token is what counts, and it says all that may be read. Whatever is wrong with a link,
// it looks the same.
func (p *panel) linkedPage(q *request) error {
	h := q.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex, nofollow, noarchive")
	// The page is the same for everybody, whoever may be signed in beside it.
	q.session, q.account = nil, nil
	q.Locale = p.texts.Locale(p.texts.Match(chosenLanguage(q), q.Header.Get("Accept-Language")), "")

	now := p.Now()
	l, ok := p.LinkKeys.Read(q.PathValue("token"))
	switch {
	case !ok && !p.guesses.Allow(limit.Network(q.peer)):
		return q.tooManyLooks()
	case !ok || !now.Before(l.Expires):
		return q.noSuchLink()
	case !p.looks.Allow(limit.Network(q.peer)):
		return q.tooManyLooks()
	}
	return p.showLinked(q, l)
}

// chosenLanguage is what the person has chosen, now or before, "" for nothing.
func chosenLanguage(q *request) string {
	if chosen := q.URL.Query().Get("lang"); chosen != "" {
		return chosen
	}
	return q.cookie(langCookie)
}

func (p *panel) showLinked(q *request, l verify.Link) error {
	d, checking, err := p.look(q.Context(), l.OperatorID, l.DomainID)
	if waypost.KindOf(err) == waypost.NotFound {
		return q.noSuchLink()
	}
	if err != nil {
		return err
	}
	live := q.live(q.URL.Path, d, checking)
	if q.isFragment() {
		return q.sendLive(live)
	}
	v := view.DNSPage{Domain: d.Name, Refresh: refreshUsual, Expires: q.Exactly(l.Expires.Truncate(time.Minute)), Live: live}
	if checking {
		v.Refresh = refreshSoon
	}
	return q.render(http.StatusOK, view.DNSDocument(q.frame(q.T("dnslink.page", "Domain", d.Name)), v))
}

func (q *request) noSuchLink() error {
	q.w.Header().Set("HX-Refresh", "true") // a page that is open shows it
	return q.render(http.StatusNotFound, view.DNSDocument(q.frame(q.T("dnslink.gone")), view.DNSPage{Text: q.T("dnslink.gone_about")}))
}

func (q *request) tooManyLooks() error {
	q.w.Header().Set("Retry-After", "30")
	return q.render(http.StatusTooManyRequests, view.DNSDocument(q.frame(q.T("dnslink.too_many")), view.DNSPage{Text: q.T("dnslink.too_many_about")}))
}
