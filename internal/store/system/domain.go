package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// TakeDomains returns domains whose check is due, at most limit and those that are due
// longest, and puts their next check off until then: should their checker die, they are
// due again. Those of the operators in except are left as they are; let these be few,
// since their due domains are read to be passed over.
func (y *System) TakeDomains(ctx context.Context, now, until time.Time, limit int, except ...string) ([]store.CheckedDomain, error) {
	due, args := dueDomains(now, except)
	args = append(args, limit, waypost.Millis(until))
	var ids []string
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		ids = nil
		rows, err := tx.QueryContext(ctx, fmt.Sprintf(`WITH c AS MATERIALIZED (
  SELECT id FROM domain WHERE %s ORDER BY next_check LIMIT $%d%s)
UPDATE domain SET next_check = $%d WHERE id IN (SELECT id FROM c) RETURNING id`,
			due, len(args)-1, tx.Dialect.SkipLocked, len(args)), args...)
		if err != nil {
			return err
		}
		return engine.Each(rows, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("take domains: %w", err)
	}
	list := make([]store.CheckedDomain, 0, len(ids))
	for _, id := range ids {
		d, err := y.AnyDomain(ctx, id)
		if waypost.KindOf(err) == waypost.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// DomainDue tells whether TakeDomains would find one, without taking it.
func (y *System) DomainDue(ctx context.Context, now time.Time, except ...string) (bool, error) {
	due, args := dueDomains(now, except)
	var found bool
	err := y.engine.Reader().QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM domain WHERE "+due+")", args...).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("look for domains: %w", err)
	}
	return found, nil
}

// dueDomains is the condition for domains whose check is due, and its arguments.
func dueDomains(now time.Time, except []string) (condition string, args []any) {
	condition, args = "next_check <= $1", []any{waypost.Millis(now)}
	for _, operatorID := range except {
		args = append(args, operatorID)
		condition += fmt.Sprintf(" AND operator_id <> $%d", len(args))
	}
	return condition, args
}

// AnyDomain reads a domain of any operator. The error is NotFound.
func (y *System) AnyDomain(ctx context.Context, id string) (store.CheckedDomain, error) {
	row, err := y.queries().AnyDomain(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return store.CheckedDomain{}, notFound("domain")
	}
	if err != nil {
		return store.CheckedDomain{}, fmt.Errorf("read domain: %w", err)
	}
	return store.DomainOf(tenantsql.Domain(row)), nil
}

// DomainsNamed lists all claims of a name.
func (y *System) DomainsNamed(ctx context.Context, name string) ([]store.CheckedDomain, error) {
	rows, err := y.queries().DomainsNamed(ctx, name)
	return checkedDomains(rows, err)
}

// SaveDomainCheck writes it in one transaction: state, events, and the senders that
// become assigned, which it returns. The error is Conflict if the domain was checked,
// claimed anew or given up meanwhile, or if another operator has proven it; then nothing
// is written.
func (y *System) SaveDomainCheck(ctx context.Context, c store.DomainCheck) (assigned []waypost.Sender, err error) {
	err = y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		assigned = nil
		q := systemsql.New(tx)
		row, err := q.AnyDomain(ctx, c.ID)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if changed := err != nil || (row.Proven > 0) == c.Proven.IsZero() || (row.Authorized > 0) == c.Authorized.IsZero() ||
			row.ReturnPath != c.ReturnPath; changed {
			if err := store.BumpChange(ctx, tx); err != nil {
				return err
			}
		}
		if c.From != nil {
			n, err := q.LoseDomain(ctx, systemsql.LoseDomainParams{ID: c.From.ID, Proof: c.From.Proof, NextCheck: waypost.Millis(c.Checked)})
			if err != nil {
				return err
			}
			if n == 0 {
				return errDomainChanged()
			}
		}
		n, err := q.SaveDomainCheck(ctx, systemsql.SaveDomainCheckParams{
			ID: c.ID, Proof: c.Proof, Proven: waypost.Millis(c.Proven), Authorized: waypost.Millis(c.Authorized),
			ReturnPath: c.ReturnPath, Watch: c.Watch, Report: c.Report, Checked: waypost.Millis(c.Checked),
			NextCheck: waypost.Millis(c.Next), Before: waypost.Millis(c.Before),
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return errDomainChanged()
		}
		events := slices.Clip(c.Events) // the call may run twice
		if c.Assign && !c.Authorized.IsZero() {
			if assigned, err = assignSenders(ctx, tx, c.Domain, c.Checked); err != nil {
				return err
			}
			for _, s := range assigned {
				events = append(events, store.SenderEvent(s, waypost.DomainSenderAssigned, waypost.Policy(), c.Checked))
			}
		}
		return store.WriteDomainEvents(ctx, tx, events)
	})
	if y.engine.Dialect.IsUnique(err) {
		return nil, errDomainChanged()
	}
	if err != nil {
		return nil, fmt.Errorf("save domain check: %w", err)
	}
	return assigned, nil
}

func errDomainChanged() error {
	return waypost.NewError(waypost.Conflict, "domain_changed", "the domain was changed meanwhile")
}

// assignSenders assigns the senders that wait for a domain.
func assignSenders(ctx context.Context, tx *engine.Tx, d waypost.Domain, now time.Time) ([]waypost.Sender, error) {
	q := systemsql.New(tx)
	rows, err := q.OperatorSenders(ctx, d.OperatorID)
	if err != nil {
		return nil, err
	}
	var assigned []waypost.Sender
	for _, row := range rows {
		if row.State != string(waypost.SenderRequested) || !strings.HasSuffix(row.Address, "@"+d.Name) {
			continue
		}
		if len(assigned) == 0 {
			if err := store.BumpChange(ctx, tx); err != nil {
				return nil, err
			}
		}
		if _, err := q.DecideSender(ctx, systemsql.DecideSenderParams{
			OperatorID: d.OperatorID, ID: row.ID, State: string(waypost.SenderAssigned), Decided: waypost.Millis(now), Old: row.State,
		}); err != nil {
			return nil, err
		}
		s := store.SenderOf(tenantsql.Sender(row))
		s.State, s.Decided = waypost.SenderAssigned, now
		assigned = append(assigned, s)
	}
	return assigned, nil
}

// SendersWaiting lists senders of all operators that are neither assigned nor rejected,
// oldest first, after the one whose id is cursor.
func (y *System) SendersWaiting(ctx context.Context, cursor string, limit int) ([]waypost.Sender, error) {
	rows, err := y.queries().SendersWaiting(ctx, systemsql.SendersWaitingParams{After: cursor, Most: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("list senders: %w", err)
	}
	list := make([]waypost.Sender, len(rows))
	for i, row := range rows {
		list[i] = store.SenderOf(tenantsql.Sender(row))
	}
	return list, nil
}

// AnySender reads a sender of any operator. The error is NotFound.
func (y *System) AnySender(ctx context.Context, id string) (waypost.Sender, error) {
	row, err := y.queries().AnySender(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return waypost.Sender{}, notFound("sender")
	}
	if err != nil {
		return waypost.Sender{}, fmt.Errorf("read sender: %w", err)
	}
	return store.SenderOf(tenantsql.Sender(row)), nil
}

// DecideSender writes state, reason and time of a sender whose state was old when it was
// read. The error is Conflict if it was removed or decided about since.
func (y *System) DecideSender(ctx context.Context, by waypost.Actor, s waypost.Sender, old waypost.SenderState) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		n, err := systemsql.New(tx).DecideSender(ctx, systemsql.DecideSenderParams{
			OperatorID: s.OperatorID, ID: s.ID, Old: string(old), State: string(s.State), Reason: s.Reason, Decided: waypost.Millis(s.Decided),
		})
		if err == nil && n == 0 {
			return waypost.NewError(waypost.Conflict, "sender_changed", "the sender was removed or decided about meanwhile")
		}
		if err != nil {
			return err
		}
		if err := store.WriteAudit(ctx, tx, waypost.AuditEntry{
			OperatorID: s.OperatorID, Actor: by, Action: "sender." + string(s.State), Target: s.Address, Detail: waypost.Detail(s.Reason), At: s.Decided,
		}); err != nil {
			return err
		}
		event := waypost.DomainSenderAssigned
		if s.State == waypost.SenderRejected {
			event = waypost.DomainSenderRejected
		}
		return store.WriteDomainEvents(ctx, tx, []waypost.DomainEvent{store.SenderEvent(s, event, by, s.Decided)})
	})
}

// DomainsWithoutProof lists domains of all operators that have no ownership key, oldest
// first, after the one whose id is cursor.
func (y *System) DomainsWithoutProof(ctx context.Context, cursor string, limit int) ([]store.CheckedDomain, error) {
	rows, err := y.queries().DomainsWithoutProof(ctx, systemsql.DomainsWithoutProofParams{After: cursor, Most: int64(limit)})
	return checkedDomains(rows, err)
}

// AllDomains lists the domains of all operators, oldest first, after the one whose id is
// cursor.
func (y *System) AllDomains(ctx context.Context, cursor string, limit int) ([]store.CheckedDomain, error) {
	rows, err := y.queries().AllDomains(ctx, systemsql.AllDomainsParams{After: cursor, Most: int64(limit)})
	return checkedDomains(rows, err)
}

func checkedDomains(rows []systemsql.Domain, err error) ([]store.CheckedDomain, error) {
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	list := make([]store.CheckedDomain, len(rows))
	for i, row := range rows {
		list[i] = store.DomainOf(tenantsql.Domain(row))
	}
	return list, nil
}
