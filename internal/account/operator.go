package account

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Options make a Service.
type Options struct {
	Store      *store.Store
	System     System
	Directory  *Directory
	Ring       *secret.Ring // seals the passwords of relays
	Platform   route.Platform
	RelayPorts []int // where operators' servers may listen; nil means 25, 465, 587 and 2525
	URLs       URLs  // which URLs webhooks may have

	ApproveSenders bool // the owner decides about every sender of the built-in gateway
	UpstreamSigns  bool // the platform's upstream signs, and proves domains in its own way
}

// Service changes operators. It is safe for concurrent use.
type Service struct {
	o Options
}

// New returns a service.
func New(o Options) *Service {
	if o.RelayPorts == nil {
		o.RelayPorts = []int{25, 465, 587, 2525}
	}
	return &Service{o: o}
}

// NewOperator describes an operator to create.
type NewOperator struct {
	Name     string // at most 200 characters
	Product  waypost.Product
	Contact  string // an address, or "" for nowhere
	ParentID string // "" directly under the platform

	Uncertain waypost.UncertainPolicy // "" for retry
	PerMinute int                     // mails that each node accepts a minute; 0 for no limit
	PerDay    int                     // recipients a day on the built-in gateway; 0 for as many as age and record allow
	Trusted   bool                    // no such limit, and nothing worse than a warning
}

// CreateOperator creates an operator. It is bound to the gateway that its product
// starts with, if any. Errors are Problems with the fields name, product, contact,
// parent_id, uncertain, per_minute and per_day.
func (s *Service) CreateOperator(ctx context.Context, by waypost.Actor, n NewOperator) (waypost.Operator, error) {
	var p Problems
	name := checkOperatorName(&p, n.Name)
	if _, ok := waypost.ParseProduct(string(n.Product)); !ok {
		p.add("product", "choose servermate, cloud or on_premise")
	}
	contact := checkContact(&p, n.Contact)
	n.Uncertain = cmp.Or(n.Uncertain, waypost.UncertainRetry)
	checkUncertain(&p, n.Uncertain)
	checkPerMinute(&p, n.PerMinute)
	checkPerDay(&p, n.PerDay)
	if err := p.err(); err != nil {
		return waypost.Operator{}, err
	}
	created, err := s.o.System.CreateOperator(ctx, by, waypost.Operator{
		Name: name, Product: n.Product, Contact: contact, ParentID: n.ParentID, Uncertain: n.Uncertain, PerMinute: n.PerMinute,
		PerDay: n.PerDay, Trusted: n.Trusted,
	})
	if err != nil {
		return waypost.Operator{}, fmt.Errorf("create operator: %w", err)
	}
	return created, nil
}

// checkOperatorName returns the name without space around it.
func checkOperatorName(p *Problems, name string) string {
	name = strings.TrimSpace(name)
	if name == "" {
		p.add("name", "a name is missing")
	} else if why := badName(name); why != "" {
		p.add("name", why)
	}
	return name
}

func checkContact(p *Problems, contact string) string {
	contact = strings.TrimSpace(contact)
	if contact != "" {
		if _, _, err := waypost.SplitAddress(contact); err != nil {
			p.add("contact", err.Error())
		}
	}
	return contact
}

// maxPerMinute is the largest limit: more is none.
const maxPerMinute = 1_000_000

func checkPerMinute(p *Problems, n int) {
	if n < 0 || n > maxPerMinute {
		p.add("per_minute", fmt.Sprintf("give a number up to %d, or 0 for no limit", maxPerMinute))
	}
}

// maxPerDay is the largest limit of recipients: whoever needs more is trusted.
const maxPerDay = 1_000_000_000

func checkPerDay(p *Problems, n int) {
	if n < 0 || n > maxPerDay {
		p.add("per_day", fmt.Sprintf("give a number up to %d, or 0 for as many as age and record allow", maxPerDay))
	}
}

func checkUncertain(p *Problems, u waypost.UncertainPolicy) {
	switch u {
	case waypost.UncertainRetry, waypost.UncertainHold, waypost.UncertainAssume:
	default:
		p.add("uncertain", "choose retry, hold or assume_delivered")
	}
}

// OperatorChange is what to change of an operator; nil leaves it.
type OperatorChange struct {
	Name      *string
	Product   *waypost.Product // mail waits if it does not allow the bound gateway
	Contact   *string          // "" for nowhere
	Uncertain *waypost.UncertainPolicy
	PerMinute *int // 0 for no limit
	PerDay    *int // 0 for as many as age and record allow
	Trusted   *bool
	ParentID  *string // "" directly under the platform
}

// check adds what is wrong, and tidies what is right.
func (c *OperatorChange) check(p *Problems) {
	if c.Name != nil {
		c.Name = new(checkOperatorName(p, *c.Name))
	}
	if c.Product != nil {
		if _, ok := waypost.ParseProduct(string(*c.Product)); !ok {
			p.add("product", "choose servermate, cloud or on_premise")
		}
	}
	if c.Contact != nil {
		c.Contact = new(checkContact(p, *c.Contact))
	}
	if c.Uncertain != nil {
		checkUncertain(p, *c.Uncertain)
	}
	if c.PerMinute != nil {
		checkPerMinute(p, *c.PerMinute)
	}
	if c.PerDay != nil {
		checkPerDay(p, *c.PerDay)
	}
}

// ChangeOperator changes an operator. Errors are Problems with the fields that creating
// one has, and NotFound.
func (s *Service) ChangeOperator(ctx context.Context, by waypost.Actor, operatorID string, c OperatorChange) error {
	var p Problems
	c.check(&p)
	if err := p.err(); err != nil {
		return err
	}
	defer s.o.Directory.forget(operatorID)
	if c.ParentID != nil { // first: it may still be refused
		if err := s.o.System.MoveOperator(ctx, by, operatorID, *c.ParentID); err != nil {
			return err
		}
	}
	err := s.o.Store.SaveOperator(ctx, by, operatorID, func(o *waypost.Operator) error {
		set(&o.Name, c.Name)
		set(&o.Product, c.Product)
		set(&o.Contact, c.Contact)
		set(&o.Uncertain, c.Uncertain)
		set(&o.PerMinute, c.PerMinute)
		set(&o.PerDay, c.PerDay)
		set(&o.Trusted, c.Trusted)
		return nil
	})
	if err != nil {
		return fmt.Errorf("save operator: %w", err)
	}
	return nil
}

func set[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

// RemoveOperator deletes an operator: from now on nobody sends or signs in as it. What it
// had queued is cancelled and everything but counters and the audit log erased, step by
// step (System.RemoveSome). Deleting twice is no error; errors are NotFound, and Conflict
// for the platform itself.
func (s *Service) RemoveOperator(ctx context.Context, by waypost.Actor, operatorID string) error {
	defer s.o.Directory.forget(operatorID)
	return s.o.System.RemoveOperator(ctx, by, operatorID, time.Now())
}

// Operators lists operators, limit at a time, after the one whose id is cursor.
func (s *Service) Operators(ctx context.Context, cursor string, limit int) ([]waypost.Operator, error) {
	return s.o.System.Operators(ctx, cursor, limit)
}

// Suspend stops an operator's mail: nothing is accepted, and what is queued waits.
// Mail of kind security still goes. Suspending twice is no error.
func (s *Service) Suspend(ctx context.Context, by waypost.Actor, operatorID string) (waypost.Operator, error) {
	if operatorID == waypost.PlatformOperatorID {
		return waypost.Operator{}, waypost.NewError(waypost.Conflict, "platform_operator", "the platform itself cannot be suspended")
	}
	return s.setSuspended(ctx, by, operatorID, true)
}

// Resume ends a suspension. Resuming twice is no error.
func (s *Service) Resume(ctx context.Context, by waypost.Actor, operatorID string) (waypost.Operator, error) {
	return s.setSuspended(ctx, by, operatorID, false)
}

func (s *Service) setSuspended(ctx context.Context, by waypost.Actor, operatorID string, suspended bool) (waypost.Operator, error) {
	defer s.o.Directory.forget(operatorID)
	err := s.o.Store.SaveOperator(ctx, by, operatorID, func(o *waypost.Operator) error {
		o.Suspended = suspended
		return nil
	})
	if err != nil {
		return waypost.Operator{}, fmt.Errorf("save operator: %w", err)
	}
	return s.o.Store.Operator(ctx, operatorID)
}
