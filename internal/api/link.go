package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// How many days a link works: if it does not say, and at most.
const (
	defaultLinkDays = 7
	maxLinkDays     = 30
)

type linkDomainInput struct {
	ByID
	Body *newLink
}

// newLink is a link to make.
type newLink struct {
	Days *int `json:"days,omitempty" doc:"How long it works, 1 to 30; 7 if left out."`
}

// link is a link to a domain's page.
type link struct {
	URL       string `json:"url" doc:"Whoever has it sees the page."`
	ExpiresAt string `json:"expires_at" format:"date-time"`
}

func (s *server) linkDomain(ctx context.Context, c *caller, in *linkDomainInput) (*answer[link], error) {
	d, err := s.Store.Domain(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	days := defaultLinkDays
	if in.Body != nil && in.Body.Days != nil {
		days = *in.Body.Days
	}
	if days < 1 || days > maxLinkDays {
		return nil, waypost.FieldError("days", "1 to 30")
	}
	expires := time.Now().AddDate(0, 0, days).Truncate(time.Second)
	token, ok := linkToken(s.LinkKeys[0], linked{operatorID: c.operator(), domainID: d.ID, expires: expires})
	if !ok {
		return nil, waypost.NewError(waypost.NotFound, "not_found", "no such domain")
	}
	return &answer[link]{link{URL: c.base + "/dns/" + token, ExpiresAt: stamp(expires)}}, nil
}

// base is where clients reach this server, as far as the owner or the request says. What a
// proxy says counts only if it is trusted.
func (s *server) base(r *http.Request) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && s.trusted(remote.Addr().Unmap().WithZone("")) {
		if r.Header.Get("X-Forwarded-Proto") == "https" {
			scheme = "https"
		}
		if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" {
			host = forwarded
		}
	}
	return scheme + "://" + host
}

// linked is what a link leads to.
type linked struct {
	operatorID, domainID string
	expires              time.Time
}

// Parts of a token, in bytes: the domain's id, the operator's, the last second, and the
// HMAC of these.
const (
	tokenIDs  = 16 + 16
	tokenText = tokenIDs + 8
)

// linkToken writes a token; ok is false if the ids are none.
func linkToken(key []byte, l linked) (token string, ok bool) {
	domain, ok1 := waypost.ParseID(l.domainID)
	operator, ok2 := waypost.ParseID(l.operatorID)
	b := append(domain[:], operator[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(l.expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, linkMAC(key, b)...)), ok1 && ok2
}

// readLink reads a token that this installation made.
func (s *server) readLink(token string) (linked, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenText+sha256.Size {
		return linked{}, false
	}
	text, mac := b[:tokenText], b[tokenText:]
	for _, key := range s.LinkKeys {
		if hmac.Equal(mac, linkMAC(key, text)) { // takes the same time for any wrong one
			return linked{
				domainID: waypost.FormatID([16]byte(text[:16])), operatorID: waypost.FormatID([16]byte(text[16:tokenIDs])),
				expires: time.Unix(int64(binary.BigEndian.Uint64(text[tokenIDs:])), 0),
			}, true
		}
	}
	return linked{}, false
}

func linkMAC(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
