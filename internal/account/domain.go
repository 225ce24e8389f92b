package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Bounds of what one operator may have.
const (
	maxDomains = 100
	maxSenders = 1000

	// maxDomainName leaves room for a selector and _domainkey before it (RFC 1035 section
	// 2.3.4: 253 octets in all).
	maxDomainName = 253 - 63 - len("._domainkey.")
)

// ClaimDomain adds a domain for the operator to prove. Errors are Problems with the
// field domain, and Conflict if the operator has it already. A claim blocks nobody.
func (s *Service) ClaimDomain(ctx context.Context, by waypost.Actor, operatorID, name string) (store.CheckedDomain, error) {
	if s.o.Platform.Sandbox() {
		return store.CheckedDomain{}, waypost.NewError(waypost.Conflict, "sandbox",
			"the built-in gateway is a sandbox: the platform has no domain yet, so there is nothing to publish")
	}
	var p Problems
	ascii := s.checkDomain(&p, name)
	if err := p.err(); err != nil {
		return store.CheckedDomain{}, err
	}
	d := waypost.Domain{
		ID: waypost.NewID(), OperatorID: operatorID, Name: ascii, Proof: s.proof(operatorID, ascii),
		Created: time.Now().UTC().Truncate(time.Millisecond),
	}
	if s.o.UpstreamSigns {
		d.Proof = "" // the upstream's, which support enters
	}
	if err := s.o.Store.ClaimDomain(ctx, by, operatorID, d, maxDomains); err != nil {
		return store.CheckedDomain{}, err
	}
	return s.o.Store.Domain(ctx, operatorID, d.ID)
}

// checkDomain returns a domain as it is kept.
func (s *Service) checkDomain(p *Problems, name string) string {
	const field = "domain"
	ascii, err := dns.ToASCII(strings.TrimSpace(name))
	if err != nil || !strings.Contains(ascii, ".") || strings.Contains(ascii, "_") || len(ascii) > maxDomainName {
		p.add(field, "give a domain name like example.com")
		return ""
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		p.add(field, "give a domain name, not an address")
		return ""
	}
	if suffix, _ := publicsuffix.PublicSuffix(ascii); suffix == ascii {
		p.add(field, "everybody registers domains below "+ascii+"; give one of your own")
		return ""
	}
	if s.o.Platform.Owns("x@" + ascii) {
		p.add(field, "this is the platform's own domain")
		return ""
	}
	return ascii
}

// proof is the key of an ownership record. An operator that gives a domain up and
// claims it again finds the same, so its record in the DNS stays right.
func (s *Service) proof(operatorID, name string) string {
	mac := hmac.New(sha256.New, s.o.Ring.Derive("domain proof"))
	fmt.Fprintf(mac, "%s %s", operatorID, name)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// KeyRequest is a domain that waits for its ownership key.
type KeyRequest struct {
	store.CheckedDomain
	Operator string // its name, "" if it was deleted meanwhile
}

// KeyRequests lists the domains of all operators whose ownership key the platform's support
// has not entered yet, oldest first, after the one whose id is cursor.
func (s *Service) KeyRequests(ctx context.Context, cursor string, limit int) ([]KeyRequest, error) {
	found, err := s.o.System.DomainsWithoutProof(ctx, cursor, limit)
	if err != nil {
		return nil, err
	}
	names := s.operatorNames()
	list := make([]KeyRequest, len(found))
	for i, d := range found {
		name, err := names(ctx, d.OperatorID)
		if err != nil {
			return nil, err
		}
		list[i] = KeyRequest{d, name}
	}
	return list, nil
}

// SetDomainProof enters the key that the platform's upstream asks for as proof of a
// domain of any operator. The same key again changes nothing; with another one ownership
// has to be proven anew. Errors are Problems with the field key, Conflict if the platform
// makes the keys itself, and NotFound.
func (s *Service) SetDomainProof(ctx context.Context, by waypost.Actor, id, key string) (store.CheckedDomain, error) {
	key = strings.TrimSpace(key)
	if !s.o.UpstreamSigns {
		return store.CheckedDomain{}, waypost.NewError(waypost.Conflict, "upstream_does_not_sign",
			"the platform signs itself and makes its own keys (WAYPOST_UPSTREAM_SIGNS is off)")
	}
	if len(key) < 8 || len(key) > 200 || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return store.CheckedDomain{}, Problems{waypost.FieldError("key", "8 to 200 letters, digits, hyphens and underscores")}
	}
	d, err := s.o.System.AnyDomain(ctx, id)
	if err != nil || d.Proof == key {
		return d, err
	}
	defer s.o.Directory.forget(d.OperatorID)
	if err := s.o.Store.SetDomainProof(ctx, by, d.OperatorID, id, key, time.Now()); err != nil {
		return store.CheckedDomain{}, err
	}
	return s.o.Store.Domain(ctx, d.OperatorID, id)
}

// KeyDomains gives every domain the sort of ownership key that the settings ask for, after
// they may have changed: one of the platform's own, or none until support enters the
// upstream's. Keys that support entered stay.
func (s *Service) KeyDomains(ctx context.Context) error {
	const page = 500
	for cursor := ""; ; {
		list, err := s.o.System.AllDomains(ctx, cursor, page)
		if err != nil {
			return err
		}
		for _, d := range list {
			cursor = d.ID
			own := s.proof(d.OperatorID, d.Name)
			switch {
			case s.o.UpstreamSigns && d.Proof == own:
				own = ""
			case s.o.UpstreamSigns || d.Proof != "":
				continue
			}
			err := s.o.Store.SetDomainProof(ctx, waypost.Policy(), d.OperatorID, d.ID, own, time.Now())
			if err != nil && waypost.KindOf(err) != waypost.NotFound { // given up meanwhile
				return err
			}
		}
		if len(list) < page {
			return nil
		}
	}
}

// RemoveDomain gives a domain up. Its senders stay, and are not used on the built-in
// gateway any more. The error is NotFound.
func (s *Service) RemoveDomain(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	defer s.o.Directory.forget(operatorID)
	return s.o.Store.RemoveDomain(ctx, by, operatorID, id)
}
