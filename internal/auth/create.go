package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// CreateRequest describes a credential to make: an operator's or the platform's.
type CreateRequest struct {
	OperatorID  string
	Platform    bool
	Name        string             // to recognize it, at most 200 characters; may be empty
	Networks    []netip.Prefix     // clients there need no login; an operator's only
	Scopes      []waypost.Scope    // none: the default ones, for the platform with operators
	Test        bool               // its mail always goes to the sandbox
	DefaultKind waypost.Kind       // of mail that names none; "" for other
	FromPolicy  waypost.FromPolicy // "" means replace
}

// A network that is wider than this is no client's but half of the internet: letting
// it submit without a login would make an open relay. It leaves room for 10.0.0.0/8
// and fc00::/7.
const (
	widestIPv4 = 8
	widestIPv6 = 7
)

const maxName = 200

// Create makes a credential and returns its key, which nobody can read again. Errors
// are Invalid with a field, NotFound for an unknown operator, and Conflict for a
// network that overlaps one of another operator.
func (a *Auth) Create(ctx context.Context, by waypost.Actor, r CreateRequest) (key string, c store.Credential, err error) {
	if c, err = a.check(ctx, r); err != nil {
		return "", store.Credential{}, err
	}
	now := time.Now().UTC()
	c.Created, c.ID = now.Truncate(time.Millisecond), waypost.NewIDAt(now)
	key = newKey(r.Test)
	c.Hint = key[:hintLength]
	hash := sha256.Sum256([]byte(key))
	if err := a.store.CreateCredential(ctx, by, c, hash[:]); err != nil {
		return "", store.Credential{}, fmt.Errorf("create credential: %w", err)
	}
	a.Changed(ctx)
	return key, c, nil
}

// Revoke ends a credential's validity, in this process at once. An operator id of ""
// means whoever's credential it is, the platform's too. Revoking twice is no error;
// the error is NotFound if the operator has no such credential.
func (a *Auth) Revoke(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	defer a.Changed(ctx)
	if operatorID == "" {
		return a.store.RevokeAny(ctx, by, id)
	}
	return a.store.RevokeCredential(ctx, by, operatorID, id)
}

func (a *Auth) check(ctx context.Context, r CreateRequest) (store.Credential, error) {
	c := store.Credential{
		OperatorID: r.OperatorID, Name: strings.TrimSpace(r.Name), Test: r.Test,
		DefaultKind: r.DefaultKind, FromPolicy: r.FromPolicy,
	}
	if r.Platform != (r.OperatorID == "") {
		return c, waypost.FieldError("operator_id", "a credential is either an operator's or the platform's")
	}
	if r.OperatorID != "" {
		if _, err := a.operators.Get(ctx, r.OperatorID); err != nil {
			return c, fmt.Errorf("read operator: %w", err)
		}
	}
	if !utf8.ValidString(c.Name) || utf8.RuneCountInString(c.Name) > maxName || strings.ContainsFunc(c.Name, waypost.Misleading) {
		return c, waypost.FieldError("name", fmt.Sprintf("at most %d characters, no control characters", maxName))
	}
	var err error
	if c.Networks, err = checkNetworks(r); err != nil {
		return c, err
	}
	if c.Scopes, err = checkScopes(r); err != nil {
		return c, err
	}
	if err := checkKind(r.DefaultKind, c.Scopes); err != nil {
		return c, err
	}
	switch c.FromPolicy {
	case "":
		c.FromPolicy = waypost.FromReplace
	case waypost.FromReplace, waypost.FromRefuse:
	default:
		return c, waypost.FieldError("from_policy", "choose replace or refuse")
	}
	return c, nil
}

func checkNetworks(r CreateRequest) ([]netip.Prefix, error) {
	const field = "networks"
	if r.Platform && len(r.Networks) > 0 {
		return nil, waypost.FieldError(field, "a network has to name one operator: bind it to a credential of the operator's")
	}
	var out []netip.Prefix
	for _, n := range r.Networks {
		if !n.IsValid() {
			return nil, waypost.FieldError(field, "not a network: write 192.0.2.0/24 or 2001:db8::/64")
		}
		n = plain(n)
		widest := widestIPv6
		if n.Addr().Is4() {
			widest = widestIPv4
		}
		if n.Bits() < widest {
			return nil, waypost.FieldError(field, fmt.Sprintf("%s is too wide: everybody there could send without a login", n))
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

func checkScopes(r CreateRequest) ([]waypost.Scope, error) {
	if len(r.Scopes) == 0 {
		scopes := waypost.DefaultScopes()
		if r.Platform {
			scopes = append(scopes, waypost.ScopeOperators)
		}
		return scopes, nil
	}
	var out []waypost.Scope
	for _, s := range r.Scopes {
		if !slices.Contains(waypost.AllScopes(), s) {
			return nil, waypost.FieldError("scopes", fmt.Sprintf("there is no scope %q", s))
		}
		if s == waypost.ScopeOperators && !r.Platform {
			return nil, waypost.FieldError("scopes", "the scope operators is the platform's")
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// checkKind refuses a default kind that every mail would be refused for.
func checkKind(kind waypost.Kind, scopes []waypost.Scope) error {
	const field = "default_kind"
	if kind == "" {
		return nil
	}
	switch _, ok := waypost.ParseKind(string(kind)); {
	case !ok:
		return waypost.FieldError(field, fmt.Sprintf("there is no kind %q", kind))
	case kind == waypost.KindTest:
		return waypost.FieldError(field, "test mails are made by the settings only")
	case kind == waypost.KindSecurity && !slices.Contains(scopes, waypost.ScopeSecurity):
		return waypost.FieldError(field, "kind security needs the scope send:security")
	}
	return nil
}
