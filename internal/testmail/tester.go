package testmail

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Accepter makes a submission durable; *submit.Pipeline does.
type Accepter interface {
	Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error)
}

// Addresses makes one-time addresses at the platform's return path.
type Addresses interface {
	// New returns an address and where what was made of its mail arrives; ok is false while
	// there are too many.
	New(now time.Time) (address string, arrived <-chan waypost.Reception, ok bool)
}

// Options make a Tester.
type Options struct {
	Store     *store.Store
	Accepter  Accepter
	Addresses Addresses // nil: there is no return path of our own
	Platform  route.Platform
}

// Tester sends test mails and knows those that it sent last. It is safe for concurrent use.
type Tester struct {
	o Options

	mu     sync.Mutex
	days   *limit.Limits            // by operator
	limits map[string]*rate.Limiter // by operator
	runs   []*Run                   // oldest first
}

// Bounds of what is kept in memory.
const (
	runsKept  = 10 * time.Minute
	maxRuns   = 1000
	maxLimits = 10_000 // operators; past it all start afresh
	perMinute = 10     // of an operator

	// To others over the built-in gateway, of an operator on each node: neither the limit of
	// the day nor the guard counts test mails, so these must not be worth anything.
	perDay = 100
)

// New returns a Tester.
func New(o Options) *Tester {
	return &Tester{o: o, days: limit.New(rate.Every(24*time.Hour/perDay), perDay), limits: map[string]*rate.Limiter{}}
}

// Receives reports whether test mails can come back to this server, which Verify asks for.
func (t *Tester) Receives() bool { return t.o.Addresses != nil }

// Request asks for a test mail.
type Request struct {
	Principal waypost.Principal // who asks; one that may act for the operator, and no test key
	Peer      string            // the address it asks from, for the Received field; "" if there is none
	Account   *waypost.Account  // of the operator, with the settings under test; it is not changed

	To     string // where it goes; "" with Verify
	Verify bool   // it goes to this server, which receives it as a stranger's would

	From          waypost.Address // the zero value is the default sender
	Subject, Text string          // "" is the usual one, in English

	Unlimited bool // the platform's own check: it does not count towards the operator's ten a minute
}

// Send accepts a test mail and returns while it is on its way. Besides those of accepting it,
// the errors are NoGateway, RateLimited, Invalid with the field "to", and Conflict
// "verify_impossible" without a return path of our own.
func (t *Tester) Send(ctx context.Context, r Request) (*Run, error) {
	if r.Account.Gateway == "" {
		return nil, waypost.NewError(waypost.NoGateway, "no_gateway", "these settings have no gateway to test")
	}
	// Before an address is made, of which there are only so many.
	if !r.Unlimited && !t.allow(r.Account.ID) {
		return nil, waypost.NewError(waypost.RateLimited, "rate_limited", "ten test mails a minute are allowed")
	}
	if !r.Unlimited && !r.Verify && r.Account.Gateway == waypost.GatewayBuiltin && !t.days.Allow(r.Account.ID) {
		return nil, waypost.NewError(waypost.RateLimited, "rate_limited", fmt.Sprintf("%d test mails a day are allowed over the built-in gateway", perDay))
	}
	to, arrived, err := t.address(r)
	if err != nil {
		return nil, err
	}
	sub, err := t.compose(r, to)
	if err != nil {
		return nil, err
	}
	run := newRun(r, to, arrived)
	sub.Once = &waypost.Once{Account: r.Account, Step: run.step, Done: run.end}
	got, err := t.o.Accepter.Accept(ctx, sub)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	run.begin(got.ID, now)
	t.keep(run, now)
	return run, nil
}

// address is where a test mail goes, and with Verify where what was made of it arrives.
func (t *Tester) address(r Request) (to string, arrived <-chan waypost.Reception, err error) {
	if !r.Verify {
		if _, _, err := waypost.SplitAddress(r.To); err != nil {
			return "", nil, waypost.FieldError("to", err.Error())
		}
		return dns.AddressToASCII(r.To), nil, nil
	}
	if r.To != "" {
		return "", nil, waypost.FieldError("to", "with verify it goes to an address of this server; leave it out")
	}
	if t.o.Addresses == nil {
		return "", nil, waypost.NewError(waypost.Conflict, "verify_impossible",
			"this server does not receive mail (WAYPOST_BOUNCE_ADDR is off or the platform has no domain). Send the test mail to a mailbox of yours, "+
				"open it there, choose \"Show original\" (or the message source), and look for spf=pass, dkim=pass and dmarc=pass in Authentication-Results")
	}
	to, arrived, ok := t.o.Addresses.New(time.Now())
	if !ok {
		return "", nil, waypost.NewError(waypost.RateLimited, "rate_limited", "too many test mails are under way")
	}
	return to, arrived, nil
}

// compose writes the mail.
func (t *Tester) compose(r Request, to string) (waypost.Submission, error) {
	c := message.Composition{
		From: r.From, To: []waypost.Address{{Email: to}}, Subject: cmp.Or(r.Subject, "Test mail from "+r.Account.Name), Text: r.Text,
	}
	if c.From == (waypost.Address{}) {
		c.From = route.DefaultFrom(t.o.Platform, r.Account)
	}
	if c.Text == "" {
		c.Text = usualText(r.Account, time.Now())
	}
	header, body, err := message.Compose(c)
	if err != nil {
		return waypost.Submission{}, err
	}
	r.Principal.FromPolicy = waypost.FromReplace // the From is ours
	sub := waypost.Submission{
		Principal: r.Principal, OperatorID: r.Account.ID, Source: "test", Peer: r.Peer, Protocol: "HTTP",
		MailFrom: c.From.Email, Recipients: []string{to}, Message: slices.Concat(header, body), Kind: waypost.KindTest,
	}
	if message.Scan(header, nil).HeaderUTF8 { // an address outside ASCII: such a mail needs SMTPUTF8 (RFC 6532)
		sub.Protocol = "UTF8HTTP"
	}
	return sub, nil
}

func usualText(a *waypost.Account, now time.Time) string {
	over := "the built-in gateway"
	if a.Gateway == waypost.GatewaySMTP && a.Relay != nil {
		over = "the SMTP server " + a.Relay.Host
	}
	return fmt.Sprintf(`This is a test mail.

It was sent on %s with the e-mail settings of %s, over %s.
If you can read this, the settings work: notifications and reports will arrive the same way.

If it was in your spam folder, mark it as wanted. There is no need to answer.
`, now.UTC().Format("2 January 2006 at 15:04:05 UTC"), a.Name, over)
}

// allow counts a test mail of an operator and reports whether it may be sent.
func (t *Tester) allow(operatorID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	minute := t.limits[operatorID]
	if minute == nil {
		if len(t.limits) >= maxLimits {
			clear(t.limits)
		}
		minute = rate.NewLimiter(perMinute/60.0, perMinute)
		t.limits[operatorID] = minute
	}
	return minute.Allow()
}

func (t *Tester) keep(r *Run, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if len(t.runs) >= maxRuns {
		t.runs = slices.Delete(t.runs, 0, 1)
	}
	t.runs = append(t.runs, r)
}

// expire drops what is kept long enough. t.mu is held.
func (t *Tester) expire(now time.Time) {
	t.runs = slices.DeleteFunc(t.runs, func(r *Run) bool { return now.Sub(r.began) > runsKept })
}

// Find returns a test mail of an operator from memory, or what is stored of it: the process
// may have been started since, and another node may have sent it. Without one the error is
// NotFound.
func (t *Tester) Find(ctx context.Context, operatorID, id string) (*Run, error) {
	if run := t.kept(operatorID, id, time.Now()); run != nil {
		return run, nil
	}
	found, err := t.o.Store.Message(ctx, operatorID, id)
	if err != nil {
		return nil, err
	}
	if found.Messages[0].Kind != waypost.KindTest || len(found.Deliveries) == 0 {
		return nil, waypost.NewError(waypost.NotFound, "not_found", "there is no such test mail")
	}
	attempts, err := t.o.Store.Attempts(ctx, operatorID, id)
	if err != nil {
		return nil, err
	}
	return storedRun(id, &found.Deliveries[0], attempts), nil
}

func (t *Tester) kept(operatorID, id string, now time.Time) *Run {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	for _, r := range t.runs {
		if r.is(operatorID, id) {
			return r
		}
	}
	return nil
}
