package auth

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Store is what this package needs of storage; *system.System has it.
type Store interface {
	CredentialByHash(ctx context.Context, hash []byte) (*store.Credential, error)
	NetworkCredentials(ctx context.Context) ([]store.Credential, error)
	CreateCredential(ctx context.Context, by waypost.Actor, c store.Credential, hash []byte) error
	Credentials(ctx context.Context, operatorID string) ([]store.Credential, error)
	PlatformCredentials(ctx context.Context) ([]store.Credential, error)
	RevokeCredential(ctx context.Context, by waypost.Actor, operatorID, id string) error
	RevokeAny(ctx context.Context, by waypost.Actor, id string) error
	CredentialsUsed(ctx context.Context, used map[string]time.Time) error
}

// Operators knows who is an operator; *account.Directory does.
type Operators interface {
	Get(ctx context.Context, operatorID string) (*waypost.Account, error)
}

// Options make an Auth.
type Options struct {
	Store     Store
	Operators Operators
	Size      int              // credentials kept in memory, and as many unknown keys; 0 means 10,000
	Now       func() time.Time // nil for time.Now
}

// Auth authenticates clients. It is safe for concurrent use.
type Auth struct {
	store     Store
	operators Operators
	now       func() time.Time
	keys      *cache[[sha256.Size]byte, waypost.Principal]
	unknown   *cache[[sha256.Size]byte, time.Time] // until when a key is not looked up again
	seen      *cache[[sha256.Size]byte, struct{}]  // keys that authenticated once; never dropped
	valid     *cache[string, bool]                 // credential id: not revoked
	networks  *cache[struct{}, *networkTable]
	used      uses
}

const (
	defaultSize = 10_000
	unknownFor  = 10 * time.Second
)

// New returns an Auth with nothing in memory.
func New(o Options) *Auth {
	if o.Size == 0 {
		o.Size = defaultSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Auth{
		store: o.Store, operators: o.Operators, now: o.Now,
		keys:     newCache[[sha256.Size]byte, waypost.Principal](o.Size),
		unknown:  newCache[[sha256.Size]byte, time.Time](o.Size),
		seen:     newCache[[sha256.Size]byte, struct{}](o.Size),
		valid:    newCache[string, bool](o.Size),
		networks: newCache[struct{}, *networkTable](1),
	}
}

// Changed drops what is in memory about credentials. It is called when they may have
// changed, by whatever process.
func (a *Auth) Changed(context.Context) {
	a.keys.drop()
	a.unknown.drop()
	a.valid.drop()
	a.networks.drop()
}

// refused is the one answer to a key that is malformed, unknown or revoked: it tells
// nobody which.
func refused() error {
	return waypost.NewError(waypost.Unauthenticated, "unauthenticated", "unknown or revoked key")
}

// Authenticate returns the principal of a key. The error is Unauthenticated for a key
// that is not valid; any other error says nothing about the key. The principal's
// scopes are shared and must not be changed.
func (a *Auth) Authenticate(ctx context.Context, key string) (waypost.Principal, error) {
	if !wellFormed(key) {
		return waypost.Principal{}, refused()
	}
	hash := sha256.Sum256([]byte(key))
	now := a.now()
	p, ok, generation := a.keys.get(hash)
	if ok {
		a.used.mark(p.CredentialID, now)
		return p, nil
	}
	until, ok, unknownGeneration := a.unknown.get(hash)
	if ok && now.Before(until) {
		return waypost.Principal{}, refused()
	}
	c, err := a.store.CredentialByHash(ctx, hash[:])
	if err != nil {
		return waypost.Principal{}, err
	}
	if c == nil || !c.Revoked.IsZero() {
		a.unknown.put(unknownGeneration, hash, now.Add(unknownFor))
		return waypost.Principal{}, refused()
	}
	p = principal(c)
	a.keys.put(generation, hash, p)
	a.seen.put(0, hash, struct{}{})
	a.used.mark(p.CredentialID, now)
	return p, nil
}

// Recognizes reports from memory alone whether a key authenticated before in this
// process; it may have been revoked since. Who shows too many wrong keys is asked for
// one of these before Authenticate looks it up: guesses then cost no reads, while the
// programs that share an address with the guesser go on, even after Changed.
func (a *Auth) Recognizes(key string) bool {
	if !wellFormed(key) {
		return false
	}
	_, ok, _ := a.seen.get(sha256.Sum256([]byte(key)))
	return ok
}

// Password authenticates an SMTP client: the password is a key. The user name is free,
// but with a key of the platform it names the operator, if it is the id of one. Where
// the client is does not matter.
func (a *Auth) Password(ctx context.Context, _ netip.Addr, user, password string) (waypost.Principal, error) {
	p, err := a.Authenticate(ctx, password)
	if err != nil || !p.Platform {
		return p, err
	}
	id := strings.ToLower(strings.TrimSpace(user))
	if _, ok := waypost.ParseID(id); !ok {
		return p, nil
	}
	switch _, err := a.operators.Get(ctx, id); {
	case err == nil:
		p.OperatorID = id
	case waypost.KindOf(err) != waypost.NotFound:
		return waypost.Principal{}, err
	}
	return p, nil
}

// Valid tells whether the credential of a principal is still valid: the error is
// Unauthenticated if it was revoked after the login. It is for sessions that live long.
func (a *Auth) Valid(ctx context.Context, p waypost.Principal) error {
	valid, ok, generation := a.valid.get(p.CredentialID)
	if !ok {
		list := a.store.PlatformCredentials
		if !p.Platform {
			list = func(ctx context.Context) ([]store.Credential, error) { return a.store.Credentials(ctx, p.OperatorID) }
		}
		credentials, err := list(ctx)
		if err != nil {
			return err
		}
		for _, c := range credentials {
			valid = valid || (c.ID == p.CredentialID && c.Revoked.IsZero())
		}
		a.valid.put(generation, p.CredentialID, valid)
	}
	if !valid {
		return refused()
	}
	a.used.mark(p.CredentialID, a.now()) // a login can be hours old
	return nil
}

func principal(c *store.Credential) waypost.Principal {
	return waypost.Principal{
		CredentialID: c.ID, OperatorID: c.OperatorID, Platform: c.OperatorID == "", Test: c.Test,
		Scopes: c.Scopes, DefaultKind: c.DefaultKind, FromPolicy: c.FromPolicy,
	}
}
