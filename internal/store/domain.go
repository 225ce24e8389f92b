package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// CheckedDomain is a domain with what its checks found. Watch and Report are JSON that
// verify understands, "" before the first check.
type CheckedDomain struct {
	waypost.Domain
	Watch, Report string
	Checked       time.Time // when the last check ended, zero before the first
	Next          time.Time // when the next one is due
	Looked        time.Time // when somebody last looked at it
}

// DomainCheck is what a check found out and what follows from it.
type DomainCheck struct {
	CheckedDomain // as it is to be: Proven, Authorized, ReturnPath, Watch, Report, Checked, Next

	Before time.Time      // Checked of the domain as the check read it
	From   *CheckedDomain // who had proven it and loses it now; nil for nobody
	Events []waypost.DomainEvent
	Assign bool // senders that wait for the domain's authorization are assigned
}

// ClaimDomain adds a domain; its first check is due at once. The error is Conflict if
// the operator has it already, or has as many as it may.
func (s *Store) ClaimDomain(ctx context.Context, by waypost.Actor, operatorID string, d waypost.Domain, most int) error {
	err := s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		have, err := q.CountDomains(ctx, operatorID)
		if err != nil {
			return err
		}
		if have >= int64(most) {
			return tooMany("domains", have)
		}
		if err := q.InsertDomain(ctx, tenantsql.InsertDomainParams{
			ID: d.ID, OperatorID: operatorID, Name: d.Name, Proof: d.Proof, NextCheck: waypost.Millis(d.Created),
		}); err != nil {
			return err
		}
		if err := audit(ctx, tx, by, operatorID, "domain.claim", d.Name, ""); err != nil {
			return err
		}
		return insertDomainEvent(ctx, q, waypost.DomainEvent{
			OperatorID: operatorID, DomainID: d.ID, Name: d.Name, Type: waypost.DomainClaimed, Actor: by.ID, At: d.Created,
		})
	})
	if s.engine.Dialect.IsUnique(err) {
		return waypost.NewError(waypost.Conflict, "domain_exists", "you have this domain already")
	}
	if err != nil {
		return fmt.Errorf("claim domain: %w", err)
	}
	return nil
}

// Domains lists an operator's domains by name.
func (s *Store) Domains(ctx context.Context, operatorID string) ([]CheckedDomain, error) {
	rows, err := s.queries().Domains(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	list := make([]CheckedDomain, len(rows))
	for i, row := range rows {
		list[i] = DomainOf(row)
	}
	return list, nil
}

// Domain reads one. The error is NotFound.
func (s *Store) Domain(ctx context.Context, operatorID, id string) (CheckedDomain, error) {
	row, err := s.queries().Domain(ctx, tenantsql.DomainParams{OperatorID: operatorID, ID: id})
	if err != nil {
		return CheckedDomain{}, one(err, "domain")
	}
	return DomainOf(row), nil
}

// ProvenDomains lists the domains whose ownership the operator has proven.
func (s *Store) ProvenDomains(ctx context.Context, operatorID string) ([]waypost.Domain, error) {
	rows, err := s.queries().ProvenDomains(ctx, operatorID)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	list := make([]waypost.Domain, len(rows))
	for i, row := range rows {
		list[i] = waypost.Domain{
			ID: row.ID, OperatorID: row.OperatorID, Name: row.Name, Proof: row.Proof, Proven: waypost.FromMillis(row.Proven),
			Authorized: waypost.FromMillis(row.Authorized), ReturnPath: row.ReturnPath, Created: waypost.FromMillis(row.Created),
		}
	}
	return list, nil
}

// RemoveDomain gives a domain up; its senders lose what it authorized. The error is
// NotFound.
func (s *Store) RemoveDomain(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		row, err := q.Domain(ctx, tenantsql.DomainParams{OperatorID: operatorID, ID: id})
		if err != nil {
			return one(err, "domain")
		}
		if _, err := q.DeleteDomain(ctx, tenantsql.DeleteDomainParams{OperatorID: operatorID, ID: id}); err != nil {
			return err
		}
		if err := audit(ctx, tx, by, operatorID, "domain.remove", row.Name, ""); err != nil {
			return err
		}
		return insertDomainEvent(ctx, q, waypost.DomainEvent{
			OperatorID: operatorID, DomainID: id, Name: row.Name, Type: waypost.DomainRemoved, Actor: by.ID, At: time.Now(),
		})
	})
}

// LookAtDomain notes that somebody looks at a domain, and has it checked no later than
// soon. The error is NotFound.
func (s *Store) LookAtDomain(ctx context.Context, operatorID, id string, now, soon time.Time) error {
	return s.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		n, err := tenantsql.New(tx).LookAtDomain(ctx, tenantsql.LookAtDomainParams{
			OperatorID: operatorID, ID: id, Now: waypost.Millis(now), Soon: waypost.Millis(soon),
		})
		if err == nil && n == 0 {
			return notFound("domain")
		}
		return err
	})
}

// SetDomainProof changes the key of a domain's ownership record; ownership has to be
// proven anew. The error is NotFound.
func (s *Store) SetDomainProof(ctx context.Context, by waypost.Actor, operatorID, id, proof string, now time.Time) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		row, err := q.Domain(ctx, tenantsql.DomainParams{OperatorID: operatorID, ID: id})
		if err != nil {
			return one(err, "domain")
		}
		if row.Authorized > 0 {
			if err := insertDomainEvent(ctx, q, waypost.DomainEvent{
				OperatorID: operatorID, DomainID: id, Name: row.Name, Type: waypost.DomainLapsed, Actor: by.ID,
				Detail: "its ownership key was changed", At: now,
			}); err != nil {
				return err
			}
		}
		if err := audit(ctx, tx, by, operatorID, "domain.key", row.Name, ""); err != nil {
			return err
		}
		n, err := q.SetDomainProof(ctx, tenantsql.SetDomainProofParams{
			OperatorID: operatorID, ID: id, Proof: proof, NextCheck: waypost.Millis(now),
		})
		if err == nil && n == 0 {
			return notFound("domain")
		}
		return err
	})
}

// DomainEvents lists what happened to a domain of an operator, newest first, before the
// event whose id is cursor; limit 0 means 50.
func (s *Store) DomainEvents(ctx context.Context, operatorID, name, cursor string, limit int) ([]waypost.DomainEvent, error) {
	rows, err := s.queries().DomainEvents(ctx, tenantsql.DomainEventsParams{
		OperatorID: operatorID, Name: name, Before: Before(cursor), Most: int64(pageSize(limit)),
	})
	if err != nil {
		return nil, fmt.Errorf("list events of a domain: %w", err)
	}
	list := make([]waypost.DomainEvent, len(rows))
	for i, row := range rows {
		list[i] = waypost.DomainEvent{
			ID: row.ID, OperatorID: row.OperatorID, DomainID: row.DomainID, Name: row.Name, Type: waypost.DomainEventType(row.Type),
			Actor: row.Actor, Detail: row.Detail, At: waypost.FromMillis(row.At),
		}
	}
	return list, nil
}

// WriteDomainEvents appends events in the transaction of what they record.
func WriteDomainEvents(ctx context.Context, tx *engine.Tx, events []waypost.DomainEvent) error {
	q := tenantsql.New(tx)
	for i, e := range events {
		e.ID = waypost.NewIDAt(e.At.Add(time.Duration(i) * time.Microsecond)) // they sort in this order
		if err := insertDomainEvent(ctx, q, e); err != nil {
			return err
		}
	}
	return nil
}

func insertDomainEvent(ctx context.Context, q *tenantsql.Queries, e waypost.DomainEvent) error {
	return q.InsertDomainEvent(ctx, tenantsql.InsertDomainEventParams{
		ID: cmp.Or(e.ID, waypost.NewIDAt(e.At)), OperatorID: e.OperatorID, DomainID: e.DomainID, Name: e.Name, Type: string(e.Type),
		Actor: e.Actor, Detail: e.Detail, At: waypost.Millis(e.At),
	})
}

// DomainOf is a domain as its row has it; store/system reads the same rows.
func DomainOf(row tenantsql.Domain) CheckedDomain {
	return CheckedDomain{
		Domain: waypost.Domain{
			ID: row.ID, OperatorID: row.OperatorID, Name: row.Name, Proof: row.Proof, Proven: waypost.FromMillis(row.Proven),
			Authorized: waypost.FromMillis(row.Authorized), ReturnPath: row.ReturnPath, Created: waypost.FromMillis(row.Created),
		},
		Watch: row.Watch, Report: row.Report, Checked: waypost.FromMillis(row.Checked),
		Next: waypost.FromMillis(row.NextCheck), Looked: waypost.FromMillis(row.Looked),
	}
}
