package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// An operator reads in its own log when staff of the platform came in, so it must read there
// when staff left, too: whatever ends a session or its acting writes both in one transaction.

// ActFor lets a session of the platform's staff act for an operator, or for none with "".
// It is recorded under the operator, which sees it. Errors are NotFound for an unknown
// operator or session, and Forbidden for a user whose role does not act, and for all but the
// owner as the platform itself.
func (y *System) ActFor(ctx context.Context, by waypost.Actor, userID, id, operatorID string, now time.Time) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		u, err := userIn(ctx, q, "", userID)
		if err != nil {
			return nil, err
		}
		if !u.Role.Acts() {
			return nil, waypost.NewError(waypost.Forbidden, "role_does_not_act", "this role does not sign in as an operator")
		}
		// Its settings decide where the mail of the whole platform goes, links for new passwords among it.
		if operatorID == waypost.PlatformOperatorID && u.Role != waypost.RoleOwner {
			return nil, waypost.NewError(waypost.Forbidden, "platform_owner", "only the owner signs in as the platform itself")
		}
		entries, err := stopActing(ctx, q, by, u, id, now)
		if err != nil {
			return nil, err
		}
		if operatorID != "" {
			if known, err := q.OperatorExists(ctx, operatorID); err != nil {
				return nil, err
			} else if !known {
				return nil, notFound("operator")
			}
			entries = append(entries, acting(by, u, operatorID, "operator.sign_in_as", now))
		}
		return entries, q.SetActingFor(ctx, systemsql.SetActingForParams{ID: id, ActingFor: operatorID})
	})
	if err != nil {
		return fmt.Errorf("act for operator: %w", err)
	}
	return nil
}

// stopActing records the end of acting for an operator, if the session does. The error is
// NotFound if there is no such session.
func stopActing(ctx context.Context, q *systemsql.Queries, by waypost.Actor, u waypost.User, id string, now time.Time) ([]waypost.AuditEntry, error) {
	operatorID, err := q.ActingFor(ctx, systemsql.ActingForParams{UserID: u.ID, ID: id})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound("session")
	}
	if err != nil || operatorID == "" {
		return nil, err
	}
	return []waypost.AuditEntry{acting(by, u, operatorID, "operator.sign_out_as", now)}, nil
}

func acting(by waypost.Actor, u waypost.User, operatorID, action string, now time.Time) waypost.AuditEntry {
	return waypost.AuditEntry{OperatorID: operatorID, Actor: by, Action: action, Target: u.Login, Detail: waypost.Detail(u.Role), At: now}
}

// stoppedActing records for operators that sessions of a user no longer act for them; "" is
// one that acted for none.
func stoppedActing(by waypost.Actor, u waypost.User, operatorIDs []string, now time.Time) []waypost.AuditEntry {
	var entries []waypost.AuditEntry
	for _, id := range operatorIDs {
		if id != "" {
			entries = append(entries, acting(by, u, id, "operator.sign_out_as", now))
		}
	}
	return entries
}

// nobodyActsFor ends all acting for an operator.
func nobodyActsFor(ctx context.Context, q *systemsql.Queries, by waypost.Actor, operatorID string, now time.Time) ([]waypost.AuditEntry, error) {
	rows, err := q.ActingUsers(ctx, operatorID)
	if err != nil {
		return nil, err
	}
	var entries []waypost.AuditEntry
	for _, row := range rows {
		entries = append(entries, stoppedActing(by, userOf(row.AppUser), []string{operatorID}, now)...)
	}
	return entries, q.NobodyActsFor(ctx, operatorID)
}

// endUnusedActing ends sessions that act for an operator and are past their time: nobody
// signs out of them any more. Others need no such care, they are just no longer valid.
func endUnusedActing(ctx context.Context, tx *engine.Tx, now time.Time) (more bool, err error) {
	// Only staff acts, whose sessions are few beside all others.
	rows, err := tx.QueryContext(ctx, `SELECT id, user_id, acting_for FROM user_session
WHERE user_id IN (SELECT u.id FROM app_user u WHERE u.operator_id = '') AND acting_for <> '' AND ended = 0 AND (seen <= $1 OR expires <= $2)
LIMIT $3`+tx.Dialect.SkipLocked, waypost.Millis(now.Add(-waypost.SessionIdle)), waypost.Millis(now), purgeBatch)
	if err != nil {
		return false, err
	}
	var list []waypost.UserSession
	if err := engine.Each(rows, func(rows *sql.Rows) error {
		var s waypost.UserSession
		err := rows.Scan(&s.ID, &s.UserID, &s.ActingFor)
		list = append(list, s)
		return err
	}); err != nil {
		return false, err
	}
	q := systemsql.New(tx)
	var entries []waypost.AuditEntry
	for _, s := range list {
		row, err := q.AnyUser(ctx, s.UserID)
		u, err := oneUser(row, err)
		if err != nil {
			return false, err
		}
		if _, err := q.EndSession(ctx, systemsql.EndSessionParams{UserID: s.UserID, ID: s.ID, Now: waypost.Millis(now)}); err != nil {
			return false, err
		}
		entries = append(entries, stoppedActing(waypost.Policy(), u, []string{s.ActingFor}, now)...)
	}
	return len(list) == purgeBatch, store.WriteAudit(ctx, tx, entries...)
}
