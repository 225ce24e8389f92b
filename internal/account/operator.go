package account

import (
	"context"
	"fmt"
	"strings"

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
}

// CreateOperator creates an operator. It is bound to the gateway that its product
// starts with, if any. Errors are Problems with the fields name, product, contact and
// parent_id.
func (s *Service) CreateOperator(ctx context.Context, by waypost.Actor, n NewOperator) (waypost.Operator, error) {
	var p Problems
	name := checkOperatorName(&p, n.Name)
	if _, ok := waypost.ParseProduct(string(n.Product)); !ok {
		p.add("product", "choose servermate, cloud or on_premise")
	}
	contact := checkContact(&p, n.Contact)
	if err := p.err(); err != nil {
		return waypost.Operator{}, err
	}
	created, err := s.o.System.CreateOperator(ctx, by, waypost.Operator{
		Name: name, Product: n.Product, Contact: contact, ParentID: n.ParentID, Uncertain: waypost.UncertainRetry,
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

// OperatorChange is what to change of an operator; nil leaves it.
type OperatorChange struct {
	Name      *string
	Contact   *string // "" for nowhere
	Uncertain *waypost.UncertainPolicy
}

// ChangeOperator changes an operator. Errors are Problems with the fields name and
// contact, as at its creation, and NotFound.
func (s *Service) ChangeOperator(ctx context.Context, by waypost.Actor, operatorID string, c OperatorChange) error {
	var p Problems
	var name, contact string
	if c.Name != nil {
		name = checkOperatorName(&p, *c.Name)
	}
	if c.Contact != nil {
		contact = checkContact(&p, *c.Contact)
	}
	if err := p.err(); err != nil {
		return err
	}
	defer s.o.Directory.forget(operatorID)
	err := s.o.Store.SaveOperator(ctx, by, operatorID, func(o *waypost.Operator) error {
		if c.Name != nil {
			o.Name = name
		}
		if c.Contact != nil {
			o.Contact = contact
		}
		if c.Uncertain != nil {
			o.Uncertain = *c.Uncertain
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save operator: %w", err)
	}
	return nil
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
