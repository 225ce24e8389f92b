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

func insertToken(ctx context.Context, q *systemsql.Queries, t waypost.UserToken) error {
	return q.InsertToken(ctx, systemsql.InsertTokenParams{
		Hash: t.Hash, UserID: t.UserID, Purpose: string(t.Purpose), Expires: waypost.Millis(t.Expires),
	})
}

// takeToken removes a token. The error is Conflict if it is gone or past its time.
func takeToken(ctx context.Context, q *systemsql.Queries, hash []byte, userID string, purpose waypost.TokenPurpose, now time.Time) error {
	n, err := q.TakeToken(ctx, systemsql.TakeTokenParams{Hash: hash, UserID: userID, Purpose: string(purpose), Now: waypost.Millis(now)})
	if err == nil && n == 0 {
		err = changedMeanwhile()
	}
	return err
}

// deleteLinks makes links that were mailed to a user worthless.
func deleteLinks(ctx context.Context, q *systemsql.Queries, userID string) error {
	for _, purpose := range []waypost.TokenPurpose{waypost.TokenInvite, waypost.TokenReset} {
		if err := q.DeleteTokens(ctx, systemsql.DeleteTokensParams{UserID: userID, Purpose: string(purpose)}); err != nil {
			return err
		}
	}
	return nil
}

// IssueToken keeps a token with which a user of an operator, or of the platform for "",
// sets its password: the first one with an invitation, which replaces earlier ones. Errors
// are NotFound, and Conflict for an invitation of who has a password, and for a user who
// is disabled.
func (y *System) IssueToken(ctx context.Context, by waypost.Actor, operatorID string, t waypost.UserToken, now time.Time) (u waypost.User, err error) {
	err = y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		if u, err = userIn(ctx, q, operatorID, t.UserID); err != nil {
			return nil, err
		}
		switch {
		case u.Disabled:
			return nil, waypost.NewError(waypost.Conflict, "user_disabled", "the user is disabled")
		case t.Purpose == waypost.TokenInvite && u.Active:
			return nil, waypost.NewError(waypost.Conflict, "user_active", "the user has a password already: send a link to reset it")
		case t.Purpose == waypost.TokenInvite:
			if err := deleteLinks(ctx, q, u.ID); err != nil {
				return nil, err
			}
		}
		return []waypost.AuditEntry{entry(by, u, now, issueAction(t.Purpose), waypost.Detail(u.Email))}, insertToken(ctx, q, t)
	})
	if err != nil {
		return waypost.User{}, fmt.Errorf("issue token: %w", err)
	}
	return u, nil
}

func issueAction(p waypost.TokenPurpose) string {
	if p == waypost.TokenInvite {
		return "user.invite"
	}
	return "user.reset"
}

// RequestReset keeps tokens that users asked for. It writes as much when there are none,
// so that nobody can tell from the time it takes whether there is a user. The change
// number stays: strangers may ask.
func (y *System) RequestReset(ctx context.Context, by waypost.Actor, users []waypost.User, tokens []waypost.UserToken, now time.Time) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		q := systemsql.New(tx)
		if err := q.DeleteTokens(ctx, systemsql.DeleteTokensParams{UserID: "", Purpose: string(waypost.TokenReset)}); err != nil {
			return err
		}
		for _, t := range tokens {
			if err := insertToken(ctx, q, t); err != nil {
				return err
			}
		}
		for _, u := range users {
			asked := entry(by, u, now, issueAction(waypost.TokenReset), waypost.NewDetail(waypost.DetailAskedByMail))
			if err := store.WriteAudit(ctx, tx, asked); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("request reset: %w", err)
	}
	return nil
}

// TokenUser finds the user whom a token belongs to. The error is NotFound if the token is
// used or past its time, or if the user may not sign in.
func (y *System) TokenUser(ctx context.Context, hash []byte, purpose waypost.TokenPurpose, now time.Time) (waypost.User, waypost.UserSecrets, error) {
	t, err := y.queries().Token(ctx, systemsql.TokenParams{Hash: hash, Purpose: string(purpose), Now: waypost.Millis(now)})
	if errors.Is(err, sql.ErrNoRows) {
		return waypost.User{}, waypost.UserSecrets{}, notFound("link")
	}
	if err != nil {
		return waypost.User{}, waypost.UserSecrets{}, fmt.Errorf("read token: %w", err)
	}
	u, secrets, err := y.UserSecrets(ctx, t.UserID)
	if err == nil && u.Disabled {
		err = notFound("link")
	}
	return u, secrets, err
}

// RedeemToken sets a user's password, takes the token, and ends the user's sessions. The
// error is Conflict if the token is used or past its time, or if the password is no longer
// the old one.
func (y *System) RedeemToken(ctx context.Context, by waypost.Actor, t waypost.UserToken, old, password string, now time.Time) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		row, err := q.AnyUser(ctx, t.UserID)
		u, err := oneUser(row, err)
		if err != nil {
			return nil, err
		}
		if u.Disabled {
			return nil, changedMeanwhile()
		}
		if err := takeToken(ctx, q, t.Hash, t.UserID, t.Purpose, now); err != nil {
			return nil, err
		}
		how := waypost.DetailPasswordByLink
		if t.Purpose == waypost.TokenInvite {
			how = waypost.DetailInvitationAccepted
		}
		return setPassword(ctx, q, by, u, old, password, "", how, now)
	})
	if err != nil {
		return fmt.Errorf("redeem token: %w", err)
	}
	return nil
}

// RecoveryCodes counts the recovery codes a user has left.
func (y *System) RecoveryCodes(ctx context.Context, userID string) (int64, error) {
	n, err := y.queries().CountTokens(ctx, systemsql.CountTokensParams{UserID: userID, Purpose: string(waypost.TokenRecovery)})
	if err != nil {
		return 0, fmt.Errorf("count recovery codes: %w", err)
	}
	return n, nil
}

// ProposeTOTP keeps a sealed secret that a user was shown. The error is Conflict if one is
// in use.
func (y *System) ProposeTOTP(ctx context.Context, userID string, sealed []byte) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		n, err := systemsql.New(tx).ProposeUserTOTP(ctx, systemsql.ProposeUserTOTPParams{ID: userID, TotpNext: sealed, Nothing: []byte{}})
		if err == nil && n == 0 {
			err = waypost.NewError(waypost.Conflict, "totp_on", "codes are asked for already: turn that off first")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("propose TOTP: %w", err)
	}
	return nil
}

// ConfirmTOTP puts the proposed secret in use, its code of a time step taken, with new
// recovery codes, and ends the user's sessions but one. The error is Conflict if the
// proposal is another one now.
func (y *System) ConfirmTOTP(
	ctx context.Context, by waypost.Actor, userID string, proposed []byte, step int64, recovery []waypost.UserToken, keep string, now time.Time,
) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		row, err := q.AnyUser(ctx, userID)
		u, err := oneUser(row, err)
		if err != nil {
			return nil, err
		}
		n, err := q.ConfirmUserTOTP(ctx, systemsql.ConfirmUserTOTPParams{ID: userID, TotpStep: step, Nothing: []byte{}, Proposed: proposed})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, changedMeanwhile()
		}
		if err := q.DeleteTokens(ctx, systemsql.DeleteTokensParams{UserID: userID, Purpose: string(waypost.TokenRecovery)}); err != nil {
			return nil, err
		}
		for _, t := range recovery {
			if err := insertToken(ctx, q, t); err != nil {
				return nil, err
			}
		}
		_, stopped, err := endSessions(ctx, q, by, u, keep, now)
		return append(stopped, entry(by, u, now, "user.totp.on", "")), err
	})
	if err != nil {
		return fmt.Errorf("confirm TOTP: %w", err)
	}
	return nil
}

// DropTOTP stops asking a user of an operator, or of the platform for "", for codes, and
// ends the user's sessions but one. It reports whether the user was asked for any.
func (y *System) DropTOTP(ctx context.Context, by waypost.Actor, operatorID, userID, keep string, now time.Time) (dropped bool, err error) {
	err = y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		u, err := userIn(ctx, q, operatorID, userID)
		if err != nil {
			return nil, err
		}
		n, err := q.DropUserTOTP(ctx, systemsql.DropUserTOTPParams{ID: userID, Nothing: []byte{}})
		dropped = n > 0
		if err != nil || !dropped {
			return nil, err
		}
		if err := q.DeleteTokens(ctx, systemsql.DeleteTokensParams{UserID: userID, Purpose: string(waypost.TokenRecovery)}); err != nil {
			return nil, err
		}
		_, stopped, err := endSessions(ctx, q, by, u, keep, now)
		return append(stopped, entry(by, u, now, "user.totp.off", "")), err
	})
	if err != nil {
		return false, fmt.Errorf("drop TOTP: %w", err)
	}
	return dropped, nil
}
