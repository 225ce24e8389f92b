package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// headerOperator names the operator that a platform credential acts for.
const headerOperator = "X-Waypost-Operator"

// rule is who may use an operation.
type rule struct {
	scope  waypost.Scope
	tenant bool // it works for one operator; if not, it is the platform's alone
}

// rules has every operation by its id. What is not in it cannot be registered.
func rules() map[string]rule {
	tenant := func(scope waypost.Scope) rule { return rule{scope, true} }
	platform := rule{waypost.ScopeOperators, false}
	return map[string]rule{
		"send-message":     tenant(waypost.ScopeSend),
		"list-messages":    tenant(waypost.ScopeRead),
		"get-message":      tenant(waypost.ScopeRead),
		"get-message-raw":  tenant(waypost.ScopeContent),
		"get-conservation": tenant(waypost.ScopeRead),

		"retry-delivery":   tenant(waypost.ScopeControl),
		"cancel-delivery":  tenant(waypost.ScopeControl),
		"hold-delivery":    tenant(waypost.ScopeControl),
		"release-delivery": tenant(waypost.ScopeControl),
		"retry-message":    tenant(waypost.ScopeControl),
		"cancel-message":   tenant(waypost.ScopeControl),
		"hold-message":     tenant(waypost.ScopeControl),
		"release-message":  tenant(waypost.ScopeControl),

		"list-sandbox":    tenant(waypost.ScopeRead),
		"get-sandbox":     tenant(waypost.ScopeRead),
		"get-sandbox-raw": tenant(waypost.ScopeContent),
		"empty-sandbox":   tenant(waypost.ScopeControl),

		"get-email-settings":  tenant(waypost.ScopeSettings),
		"save-email-settings": tenant(waypost.ScopeSettings),
		"test-email-settings": tenant(waypost.ScopeSettings),
		"get-email-test":      tenant(waypost.ScopeSettings),
		"list-senders":        tenant(waypost.ScopeSettings),
		"add-sender":          tenant(waypost.ScopeSettings),
		"change-sender":       tenant(waypost.ScopeSettings),
		"remove-sender":       tenant(waypost.ScopeSettings),
		"list-domains":        tenant(waypost.ScopeSettings),
		"claim-domain":        tenant(waypost.ScopeSettings),
		"get-domain":          tenant(waypost.ScopeSettings),
		"check-domain":        tenant(waypost.ScopeSettings),
		"link-domain":         tenant(waypost.ScopeSettings),
		"remove-domain":       tenant(waypost.ScopeSettings),
		"list-domain-events":  tenant(waypost.ScopeSettings),
		"list-suppressions":   tenant(waypost.ScopeSettings),
		"add-suppression":     tenant(waypost.ScopeSettings),
		"remove-suppression":  tenant(waypost.ScopeSettings),
		"export-suppressions": tenant(waypost.ScopeSettings),
		"import-suppressions": tenant(waypost.ScopeSettings),
		"list-exempt":         tenant(waypost.ScopeSettings),
		"add-exempt":          tenant(waypost.ScopeSettings),
		"remove-exempt":       tenant(waypost.ScopeSettings),

		"list-webhooks":        tenant(waypost.ScopeSettings),
		"create-webhook":       tenant(waypost.ScopeSettings),
		"get-webhook":          tenant(waypost.ScopeSettings),
		"change-webhook":       tenant(waypost.ScopeSettings),
		"remove-webhook":       tenant(waypost.ScopeSettings),
		"enable-webhook":       tenant(waypost.ScopeSettings),
		"disable-webhook":      tenant(waypost.ScopeSettings),
		"rotate-webhook":       tenant(waypost.ScopeSettings),
		"test-webhook":         tenant(waypost.ScopeSettings),
		"list-webhook-calls":   tenant(waypost.ScopeSettings),
		"get-webhook-call":     tenant(waypost.ScopeSettings),
		"resend-webhook-call":  tenant(waypost.ScopeSettings),
		"replay-webhook":       tenant(waypost.ScopeSettings),
		"list-webhook-replays": tenant(waypost.ScopeSettings),

		"list-operators":    platform,
		"create-operator":   platform,
		"get-operator":      platform,
		"change-operator":   platform,
		"delete-operator":   platform,
		"list-credentials":  platform,
		"create-credential": platform,
		"revoke-credential": platform,

		"get-platform-dns": platform,
		"rotate-dkim":      platform,

		"get-platform-settings":    platform,
		"change-platform-settings": platform,

		"list-waiting-senders": platform,
		"approve-sender":       platform,
		"reject-sender":        platform,
		"list-waiting-domains": platform,
		"set-domain-key":       platform,
	}
}

// caller is who asks, after everything about it was checked.
type caller struct {
	principal waypost.Principal
	operation *huma.Operation
	peer      string           // client address
	base      string           // where the client reaches this server
	account   *waypost.Account // of the operator it works for; nil for operations of the platform
	release   func()           // gives back the memory of the request body
	memory    *web.Hold        // of stored mail in the answer; given back when that is written
}

// actor is the caller in the audit log and in events.
func (c *caller) actor() waypost.Actor {
	return waypost.Actor{ID: c.principal.Actor(), Peer: c.peer}
}

// operator is the id of the operator the caller works for.
func (c *caller) operator() string { return c.account.ID }

type callerKey struct{}

func callerOf(ctx context.Context) *caller { return ctx.Value(callerKey{}).(*caller) }

// access is the middleware that lets nobody through who may not.
func (s *server) access(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	c := &caller{operation: ctx.Operation(), peer: peerOf(ctx.Context()), base: s.front.Base(r), release: func() {}}
	err := s.authorize(ctx, c)
	if err == nil {
		err = s.allowChange(c)
	}
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	note(ctx.Context(), c)
	defer func() { c.memory.Release() }()
	next(huma.WithValue(ctx, callerKey{}, c))
}

// allowChange counts a request that changes something, before its body is read: each is a
// transaction with an entry in the audit log, and all share one disk. Mail has limits of its
// own, the credential's and the operator's.
func (s *server) allowChange(c *caller) error {
	if c.operation.Method == http.MethodGet || c.operation.OperationID == "send-message" || s.changes.Allow(c.principal.CredentialID) {
		return nil
	}
	return waypost.NewError(waypost.RateLimited, "too_many_changes", "too many changes with this key: ten a second are allowed, and 600 at once")
}

func (s *server) authorize(ctx huma.Context, c *caller) error {
	key, ok := bearer(ctx.Header("Authorization"))
	if !ok {
		return waypost.NewError(waypost.Unauthenticated, "unauthenticated", "send an API key: Authorization: Bearer KEY")
	}
	// A key that was valid before passes: one program with an old key must not lock out the
	// others on its machine. Past the limit no other is looked up: guesses cost no reads.
	tooMany := waypost.NewError(waypost.RateLimited, "too_many_failures", "too many requests with a wrong key from this address")
	if s.failures.Spent(limit.Network(c.peer)) && !s.Auth.Recognizes(key) {
		return tooMany
	}
	p, err := s.Auth.Authenticate(ctx.Context(), key)
	if err != nil {
		if waypost.KindOf(err) == waypost.Unauthenticated && !s.failures.Allow(limit.Network(c.peer)) {
			return tooMany
		}
		return err
	}
	c.principal = p
	r := s.rules[c.operation.OperationID]
	switch {
	case !p.Has(r.scope):
		return waypost.NewError(waypost.Forbidden, "scope_missing", "the key does not have the scope "+string(r.scope))
	case !r.tenant && !p.Platform:
		return waypost.NewError(waypost.Forbidden, "platform_only", "this is for keys of the platform")
	case !r.tenant:
		return nil
	}
	c.account, err = s.actFor(ctx.Context(), p, strings.ToLower(strings.TrimSpace(ctx.Header(headerOperator))))
	if err == nil {
		c.principal.OperatorID = c.account.ID
	}
	return err
}

// actFor reads the account of the operator that a principal works for.
func (s *server) actFor(ctx context.Context, p waypost.Principal, named string) (*waypost.Account, error) {
	refused := func(kind waypost.ErrorKind, code, text string) error {
		return &waypost.Error{Kind: kind, Code: code, Field: headerOperator, Message: text}
	}
	id := p.OperatorID
	switch {
	case !p.Platform && named != "" && named != id:
		return nil, refused(waypost.Forbidden, "operator_not_allowed", "only a key of the platform may name another operator")
	case p.Platform && named == "":
		return nil, refused(waypost.Invalid, "operator_missing", "a key of the platform must name the operator in this header")
	case p.Platform:
		id = named
	}
	unknown := refused(waypost.Forbidden, "operator_unknown", "there is no such operator")
	if _, ok := waypost.ParseID(id); !ok {
		return nil, unknown
	}
	a, err := s.Directory.Get(ctx, id)
	if waypost.KindOf(err) == waypost.NotFound {
		return nil, unknown
	}
	return a, err
}

// bearer returns the key of an Authorization header (RFC 6750 section 2.1).
func bearer(header string) (string, bool) {
	scheme, key, ok := strings.Cut(header, " ")
	key = strings.TrimSpace(key)
	return key, ok && strings.EqualFold(scheme, "Bearer") && key != ""
}

// refuse answers a request that did not reach its handler.
func (s *server) refuse(ctx huma.Context, err error) {
	p := s.problem(ctx.Context(), ctx.Operation(), err)
	for name, values := range p.GetHeaders() {
		ctx.SetHeader(name, values[0])
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	if ctx.Method() != http.MethodHead {
		p.write(ctx.BodyWriter())
	}
}
