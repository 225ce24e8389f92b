package submit

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// read parses the header and what it asks of us. What the protocol said beside the
// mail wins over what the header says.
func (d *draft) read() error {
	if size := int64(len(d.sub.Message)); size > d.p.o.Limits.Size {
		return &waypost.Error{
			Kind: waypost.TooLarge, Code: "message_too_large", SMTP: "5.3.4",
			Message: fmt.Sprintf("the message has %d bytes, %d are allowed", size, d.p.o.Limits.Size),
		}
	}
	block, body, err := d.split()
	if err != nil {
		return err
	}
	if d.header, err = message.ParseHeader(block, message.Limits{}); err != nil {
		return err
	}
	if d.controls, err = message.ReadControls(d.header); err != nil {
		return err
	}
	d.body = body
	c, s := &d.controls, &d.sub
	if s.Kind == "" {
		s.Kind = c.Kind
	}
	if s.Kind == "" {
		s.Kind = s.Principal.DefaultKind
	}
	if s.Kind == "" {
		s.Kind = waypost.KindOther
	}
	if s.Lane == "" {
		s.Lane = c.Lane
	}
	if s.SendAt.IsZero() {
		s.SendAt = c.SendAt
	}
	if s.ExpiresAt.IsZero() {
		s.ExpiresAt = c.ExpiresAt
	}
	if s.Tags == nil {
		s.Tags = c.Tags
	}
	if s.Metadata == nil {
		s.Metadata = c.Metadata
	}
	if s.IdempotencyKey == "" {
		s.IdempotencyKey = c.IdempotencyKey
	}
	if s.Unsubscribe == nil {
		s.Unsubscribe = c.Unsubscribe
	}
	return nil
}

func forbidden(code, text string) error {
	return &waypost.Error{Kind: waypost.Forbidden, Code: code, SMTP: "5.7.1", Message: text}
}

// split cuts the mail in two, checking its line ends unless that was done on the way in.
func (d *draft) split() (block, body []byte, err error) {
	if d.sub.Clean {
		block, body = message.SplitClean(d.sub.Message)
		return block, body, nil
	}
	return message.Split(d.sub.Message)
}

// identify finds the operator, whether the principal may send for it, and its account.
func (d *draft) identify(ctx context.Context) error {
	s, named := &d.sub, d.controls.Operator
	if s.OperatorID == "" {
		s.OperatorID = s.Principal.OperatorID
	}
	if !s.Principal.Platform && (s.OperatorID != s.Principal.OperatorID || (named != "" && named != s.OperatorID)) {
		return &waypost.Error{
			Kind: waypost.Forbidden, Code: "operator_not_allowed", Field: "X-Waypost-Operator", SMTP: "5.7.1",
			Message: "only a platform credential may name another operator",
		}
	}
	switch {
	case named == "":
	case s.OperatorID == "" || s.OperatorID == named:
		s.OperatorID = named
	default:
		return &waypost.Error{
			Kind: waypost.Invalid, Code: "operator_ambiguous", Field: "X-Waypost-Operator", SMTP: "5.6.0",
			Message: "the login and X-Waypost-Operator name different operators",
		}
	}
	if s.OperatorID == "" {
		return &waypost.Error{
			Kind: waypost.Invalid, Code: "operator_missing", Field: "X-Waypost-Operator", SMTP: "5.6.0",
			Message: "a platform credential must name the operator: by X-Waypost-Operator, or as SMTP user name",
		}
	}
	if s.Once == nil && !s.Principal.Has(waypost.ScopeSend) {
		return forbidden("scope_missing", "the credential may not send (scope send)")
	}
	if s.Once != nil && s.Once.Account.ID == s.OperatorID {
		d.account = s.Once.Account // the settings under test, signature and senders too
		return nil
	}
	account, err := d.p.o.Accounts.Get(ctx, s.OperatorID)
	if err != nil {
		if waypost.KindOf(err) == waypost.NotFound && s.Principal.Platform {
			return &waypost.Error{
				Kind: waypost.Forbidden, Code: "operator_unknown", Field: "X-Waypost-Operator", SMTP: "5.7.1",
				Message: "there is no such operator",
			}
		}
		return err
	}
	d.account = account
	return nil
}

// check compares what is asked with limits and scopes.
func (d *draft) check() error {
	s := &d.sub
	for _, check := range []func() error{d.checkKind, d.checkGateway, d.checkTimes, d.checkRecipients} {
		if err := check(); err != nil {
			return err
		}
	}
	if !d.p.rates.allow(s.Principal.CredentialID, d.now) {
		return waypost.NewError(waypost.RateLimited, "rate_limited", "too many mails with this credential; slow down and try again")
	}
	return d.checkOperatorRate()
}

// checkOperatorRate heeds the operator's own limit. Mail of kind security goes past it: a
// storm of notifications must not keep people from signing in.
func (d *draft) checkOperatorRate() error {
	if d.sub.Kind == waypost.KindSecurity || d.sub.Once != nil {
		return nil
	}
	if !d.p.operators.allowAt(d.account.ID, d.account.PerMinute, d.now) {
		return waypost.NewError(waypost.RateLimited, "operator_rate_limited",
			fmt.Sprintf("the operator may send %d mails a minute; slow down and try again", d.account.PerMinute))
	}
	return nil
}

func (d *draft) checkKind() error {
	s := &d.sub
	if s.Kind == waypost.KindTest && s.Once == nil {
		return &waypost.Error{
			Kind: waypost.Invalid, Code: "kind_reserved", Field: "kind", SMTP: "5.6.0",
			Message: "kind test is for the test mail of the settings",
		}
	}
	if s.Kind == waypost.KindSecurity && !s.Principal.Has(waypost.ScopeSecurity) {
		return forbidden("scope_missing", "the credential may not send mail of kind security (scope send:security)")
	}
	derived := s.Kind.Lane()
	if s.Lane == "" {
		s.Lane = derived
	}
	if s.Lane == waypost.LaneAlarm && derived != waypost.LaneAlarm && !s.Principal.Has(waypost.ScopeAlarm) {
		return forbidden("scope_missing", "the credential may not use lane alarm (scope send:alarm)")
	}
	return nil
}

// checkGateway refuses what could not leave. Temporarily: somebody is about to bind a
// gateway or to resume the operator, and a program that tries again loses nothing.
func (d *draft) checkGateway() error {
	if d.account.Suspended && d.sub.Kind != waypost.KindSecurity {
		return &waypost.Error{
			Kind: waypost.NoGateway, Code: "operator_suspended",
			Message: "the operator is suspended; only mail of kind security is accepted",
		}
	}
	if d.account.Gateway == "" && !d.sub.Principal.Test && d.sub.Once == nil {
		return waypost.NewError(waypost.NoGateway, "no_gateway", "no e-mail gateway is bound to this operator; choose one in the settings")
	}
	if d.account.Withdrawn && !d.sub.Principal.Test && d.sub.Once == nil {
		return waypost.NewError(waypost.NoGateway, "no_gateway", "the operator's product no longer includes the gateway it is bound to; choose another in the settings")
	}
	return nil
}

func (d *draft) checkTimes() error {
	s, latest := &d.sub, d.now.Add(d.p.o.Limits.LongestLife)
	if s.SendAt.After(latest) {
		return timeError("send_at", "send_at is more than "+days(d.p.o.Limits.LongestLife)+" ahead")
	}
	from := d.now
	if s.SendAt.After(from) {
		from = s.SendAt
	}
	if s.ExpiresAt.IsZero() {
		s.ExpiresAt = from.Add(d.p.o.Limits.Life)
	}
	if !s.ExpiresAt.After(from) {
		return timeError("expires_at", "expires_at has passed, or is before send_at")
	}
	if end := from.Add(d.p.o.Limits.LongestLife); s.ExpiresAt.After(end) {
		s.ExpiresAt = end
	}
	return nil
}

func timeError(field, text string) error {
	return &waypost.Error{Kind: waypost.Invalid, Code: "invalid", Field: field, SMTP: "5.6.0", Message: text}
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d.Hours()/24)) }

func (d *draft) checkRecipients() error {
	n := len(d.sub.Recipients)
	if n == 0 {
		return &waypost.Error{Kind: waypost.Invalid, Code: "no_recipients", Field: "to", SMTP: "5.5.1", Message: "no recipients"}
	}
	if limit := d.p.o.Limits.Recipients; n > limit {
		return &waypost.Error{
			Kind: waypost.TooLarge, Code: "too_many_recipients", Field: "to", SMTP: "5.5.3",
			Message: fmt.Sprintf("%d recipients, %d are allowed", n, limit),
		}
	}
	return nil
}

// rates limit how many mails a credential or an operator submits, a minute's worth at once.
type rates struct {
	perMinute int
	mu        sync.Mutex
	limits    map[string]*rate.Limiter
}

// maxRates bounds how many are remembered; past it all start afresh.
const maxRates = 10000

func newRates(perMinute int) *rates {
	return &rates{perMinute: perMinute, limits: map[string]*rate.Limiter{}}
}

func (r *rates) allow(key string, now time.Time) bool { return r.allowAt(key, r.perMinute, now) }

// allowAt is allow for a limit of its own, which may be another one than before.
func (r *rates) allowAt(key string, perMinute int, now time.Time) bool {
	if perMinute <= 0 || key == "" {
		return true
	}
	r.mu.Lock()
	limit := r.limits[key]
	if limit == nil || limit.Burst() != perMinute {
		if len(r.limits) >= maxRates {
			clear(r.limits)
		}
		limit = rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
		r.limits[strings.Clone(key)] = limit
	}
	r.mu.Unlock()
	return limit.AllowN(now, 1)
}
