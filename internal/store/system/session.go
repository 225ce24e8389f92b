package system

import (
	"bytes"
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

// maxSessions is how many sessions of one user are kept, ended ones too.
const maxSessions = 100

func sessionOf(row systemsql.UserSession) waypost.UserSession {
	return waypost.UserSession{
		ID: row.ID, UserID: row.UserID, ActingFor: row.ActingFor, Created: waypost.FromMillis(row.Created), Seen: waypost.FromMillis(row.Seen),
		Expires: waypost.FromMillis(row.Expires), Ended: waypost.FromMillis(row.Ended), Peer: row.Peer, Agent: row.Agent,
	}
}

// SessionByHash finds the session of a token that was used after idle, and its user. The
// error is NotFound if there is none, if it ended, or if user or operator are gone.
func (y *System) SessionByHash(ctx context.Context, hash []byte, now, idle time.Time) (waypost.UserSession, waypost.User, error) {
	row, err := y.queries().SessionByHash(ctx, systemsql.SessionByHashParams{TokenHash: hash, Now: waypost.Millis(now), Idle: waypost.Millis(idle)})
	if errors.Is(err, sql.ErrNoRows) {
		return waypost.UserSession{}, waypost.User{}, notFound("session")
	}
	if err != nil {
		return waypost.UserSession{}, waypost.User{}, fmt.Errorf("read session: %w", err)
	}
	return sessionOf(row.UserSession), userOf(row.AppUser), nil
}

// StartSession records that a user signed in: its session under the hash of its token,
// and the second factor as used. The password has to be the one that was checked. Errors
// are Conflict if it is not, if the user may no longer sign in, or if the second factor
// is missing or used.
func (y *System) StartSession(ctx context.Context, by waypost.Actor, s waypost.UserSession, hash []byte, password string, second waypost.SecondFactor) error {
	now := s.Created
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		row, err := q.AnyUser(ctx, s.UserID)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if err != nil || row.Disabled || row.Password == "" || row.Password != password {
			return nil, changedMeanwhile()
		}
		how, err := takeSecond(ctx, q, row, second, now)
		if err != nil {
			return nil, err
		}
		if err := q.InsertSession(ctx, systemsql.InsertSessionParams{
			ID: s.ID, UserID: s.UserID, TokenHash: hash, Created: waypost.Millis(now), Expires: waypost.Millis(s.Expires), Peer: s.Peer, Agent: s.Agent,
		}); err != nil {
			return nil, err
		}
		actedFor, err := q.TrimSessions(ctx, systemsql.TrimSessionsParams{UserID: s.UserID, Keep: maxSessions})
		if err != nil {
			return nil, err
		}
		if err := q.UserSignedIn(ctx, systemsql.UserSignedInParams{ID: s.UserID, LastLogin: waypost.Millis(now)}); err != nil {
			return nil, err
		}
		u := userOf(row)
		entries := []waypost.AuditEntry{entry(by, u, now, "user.sign_in", how)}
		return append(entries, stoppedActing(waypost.Policy(), u, actedFor, now)...), nil
	})
	if err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	return nil
}

// takeSecond uses the second factor up and says how the user signed in.
func takeSecond(ctx context.Context, q *systemsql.Queries, row systemsql.AppUser, second waypost.SecondFactor, now time.Time) (waypost.Detail, error) {
	switch {
	case len(row.Totp) == 0:
		return waypost.NewDetail(waypost.DetailPassword), nil
	case second.Recovery != nil:
		if err := takeToken(ctx, q, second.Recovery, row.ID, waypost.TokenRecovery, now); err != nil {
			return "", err
		}
		left, err := q.CountTokens(ctx, systemsql.CountTokensParams{UserID: row.ID, Purpose: string(waypost.TokenRecovery)})
		return waypost.NewDetail(waypost.DetailPasswordRecovery, "count", left), err
	case len(second.TOTP) > 0 && bytes.Equal(second.TOTP, row.Totp):
		n, err := q.TakeUserTOTPStep(ctx, systemsql.TakeUserTOTPStepParams{ID: row.ID, TotpStep: second.Step})
		if err == nil && n == 0 {
			err = changedMeanwhile()
		}
		return waypost.NewDetail(waypost.DetailPasswordCode), err
	}
	return "", changedMeanwhile()
}

// TouchSession records when and from where a session was used.
func (y *System) TouchSession(ctx context.Context, id, peer string, now time.Time) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		return systemsql.New(tx).TouchSession(ctx, systemsql.TouchSessionParams{ID: id, Seen: waypost.Millis(now), Peer: peer})
	})
	if err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	return nil
}

// UserSessions lists the sessions of a user that were used after idle, the newest first.
func (y *System) UserSessions(ctx context.Context, userID string, now, idle time.Time) ([]waypost.UserSession, error) {
	return sessions(y.queries().UserSessions(ctx, systemsql.UserSessionsParams{UserID: userID, Now: waypost.Millis(now), Idle: waypost.Millis(idle)}))
}

// UserSignIns lists the sessions of a user that are kept, ended ones too, the newest first.
func (y *System) UserSignIns(ctx context.Context, userID string, limit int) ([]waypost.UserSession, error) {
	return sessions(y.queries().UserSignIns(ctx, systemsql.UserSignInsParams{UserID: userID, Most: int64(pageSize(limit))}))
}

func sessions(rows []systemsql.UserSession, err error) ([]waypost.UserSession, error) {
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	list := make([]waypost.UserSession, len(rows))
	for i, row := range rows {
		list[i] = sessionOf(row)
	}
	return list, nil
}

// SessionPeers lists the addresses a user was signed in from in the last month.
func (y *System) SessionPeers(ctx context.Context, userID string) ([]string, error) {
	peers, err := y.queries().SessionPeers(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list peers of sessions: %w", err)
	}
	return peers, nil
}

// EndSession ends a session of a user of an operator, or of the platform for "". action
// says how: "user.sign_out" or "session.revoke". The error is NotFound.
func (y *System) EndSession(ctx context.Context, by waypost.Actor, operatorID, userID, id, action string, now time.Time) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		u, err := userIn(ctx, q, operatorID, userID)
		if err != nil {
			return nil, err
		}
		entries := []waypost.AuditEntry{entry(by, u, now, action, "")}
		stopped, err := stopActing(ctx, q, by, u, id, now)
		if err != nil {
			return nil, err
		}
		n, err := q.EndSession(ctx, systemsql.EndSessionParams{UserID: userID, ID: id, Now: waypost.Millis(now)})
		if err == nil && n == 0 {
			err = notFound("session")
		}
		return append(entries, stopped...), err
	})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// EndSessions ends all sessions of a user of an operator, or of the platform for "", but
// one, and says how many these were.
func (y *System) EndSessions(ctx context.Context, by waypost.Actor, operatorID, userID, but string, now time.Time) (n int64, err error) {
	err = y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		u, err := userIn(ctx, q, operatorID, userID)
		if err != nil {
			return nil, err
		}
		var stopped []waypost.AuditEntry
		n, stopped, err = endSessions(ctx, q, by, u, but, now)
		if err != nil || n == 0 {
			return nil, err
		}
		return append(stopped, entry(by, u, now, "session.revoke", waypost.NewDetail(waypost.DetailSessions, "count", n))), nil
	})
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	return n, nil
}

// endSessions ends all sessions of a user but one, and says how many these were and what
// operators they acted for see of it.
func endSessions(
	ctx context.Context, q *systemsql.Queries, by waypost.Actor, u waypost.User, but string, now time.Time,
) (n int64, stopped []waypost.AuditEntry, err error) {
	actedFor, err := q.ActingSessions(ctx, systemsql.ActingSessionsParams{UserID: u.ID, But: but})
	if err != nil {
		return 0, nil, err
	}
	n, err = q.EndSessions(ctx, systemsql.EndSessionsParams{UserID: u.ID, Now: waypost.Millis(now), But: but})
	return n, stoppedActing(by, u, actedFor, now), err
}

// RecordUser writes one entry about a user to the audit log.
func (y *System) RecordUser(ctx context.Context, by waypost.Actor, u waypost.User, action string, detail waypost.Detail, now time.Time) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		return store.WriteAudit(ctx, tx, entry(by, u, now, action, detail))
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", action, err)
	}
	return nil
}
