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

// recorded is change for what goes into the audit log. Because it begins with the change
// number, nodes do it in turn: what call has read is still so when it is written.
func (y *System) recorded(ctx context.Context, call func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error)) error {
	return y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		entries, err := call(ctx, systemsql.New(tx))
		if err != nil {
			return err
		}
		return store.WriteAudit(ctx, tx, entries...)
	})
}

// entry records something about a user.
func entry(by waypost.Actor, u waypost.User, now time.Time, action string, detail waypost.Detail) waypost.AuditEntry {
	return waypost.AuditEntry{OperatorID: u.AuditedUnder(), Actor: by, Action: action, Target: u.Login, Detail: detail, At: now}
}

func userOf(row systemsql.AppUser) waypost.User {
	return waypost.User{
		ID: row.ID, OperatorID: row.OperatorID, Login: row.Login, Email: row.Email, Name: row.Name, Role: waypost.Role(row.Role),
		Language: row.Language, TimeZone: row.Zone, TOTP: len(row.Totp) > 0, Active: row.Password != "", Disabled: row.Disabled,
		Created: waypost.FromMillis(row.Created), LastLogin: waypost.FromMillis(row.LastLogin),
	}
}

// oneUser turns a row that is not there into NotFound.
func oneUser(row systemsql.AppUser, err error) (waypost.User, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return waypost.User{}, notFound("user")
	}
	if err != nil {
		return waypost.User{}, fmt.Errorf("read user: %w", err)
	}
	return userOf(row), nil
}

func secretsOf(row systemsql.AppUser) waypost.UserSecrets {
	return waypost.UserSecrets{Password: row.Password, TOTP: row.Totp, TOTPNext: row.TotpNext, TOTPStep: row.TotpStep}
}

// UserByLogin reads a user and what it proves itself with. The error is NotFound.
func (y *System) UserByLogin(ctx context.Context, login string) (waypost.User, waypost.UserSecrets, error) {
	row, err := y.queries().UserByLogin(ctx, login)
	u, err := oneUser(row, err)
	return u, secretsOf(row), err
}

// UserSecrets reads any user and what it proves itself with. The error is NotFound.
func (y *System) UserSecrets(ctx context.Context, id string) (waypost.User, waypost.UserSecrets, error) {
	row, err := y.queries().AnyUser(ctx, id)
	u, err := oneUser(row, err)
	return u, secretsOf(row), err
}

// User reads a user of an operator, or of the platform for "". The error is NotFound.
func (y *System) User(ctx context.Context, operatorID, id string) (waypost.User, error) {
	row, err := y.queries().AnyUser(ctx, id)
	u, err := oneUser(row, err)
	if err == nil && u.OperatorID != operatorID {
		return waypost.User{}, notFound("user")
	}
	return u, err
}

// Users lists the users of an operator, or the platform's staff for "", oldest first,
// after the id that is cursor.
func (y *System) Users(ctx context.Context, operatorID, cursor string, limit int) ([]waypost.User, error) {
	return users(y.queries().Users(ctx, systemsql.UsersParams{OperatorID: operatorID, After: cursor, Most: int64(pageSize(limit))}))
}

// AllUsers lists everybody, oldest first, after the id that is cursor.
func (y *System) AllUsers(ctx context.Context, cursor string, limit int) ([]waypost.User, error) {
	return users(y.queries().AllUsers(ctx, systemsql.AllUsersParams{After: cursor, Most: int64(pageSize(limit))}))
}

// maxSameEmail is how many users with one address are told of.
const maxSameEmail = 5

// UsersByEmail lists the users with an address who may sign in, five at most.
func (y *System) UsersByEmail(ctx context.Context, email string) ([]waypost.User, error) {
	return users(y.queries().UsersByEmail(ctx, systemsql.UsersByEmailParams{Email: email, Most: maxSameEmail}))
}

func users(rows []systemsql.AppUser, err error) ([]waypost.User, error) {
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	list := make([]waypost.User, len(rows))
	for i, row := range rows {
		list[i] = userOf(row)
	}
	return list, nil
}

// HasPlatformUsers reports whether anybody is staff of the platform.
func (y *System) HasPlatformUsers(ctx context.Context) (bool, error) {
	n, err := y.queries().CountUsers(ctx, "")
	if err != nil {
		return false, fmt.Errorf("count users: %w", err)
	}
	return n > 0, nil
}

// CreateUser adds a user with the hash of its password, or without one and with the token
// of its invitation. The operator, or the platform, may have at most so many. Errors are
// NotFound for an unknown operator and Conflict for a login that is used.
func (y *System) CreateUser(ctx context.Context, by waypost.Actor, u waypost.User, password string, invite *waypost.UserToken, most int) error {
	return y.createUser(ctx, by, u, password, invite, func(n int64) error {
		if n >= int64(most) {
			return waypost.NewError(waypost.Conflict, "too_many_users", fmt.Sprintf("there are %d users already, which is the most", most))
		}
		return nil
	})
}

// CreateFirstUser adds a user of the platform if it is the first one. The error is
// Conflict if it is not.
func (y *System) CreateFirstUser(ctx context.Context, by waypost.Actor, u waypost.User, password string) error {
	return y.createUser(ctx, by, u, password, nil, func(n int64) error {
		if n > 0 {
			return waypost.NewError(waypost.Conflict, "not_first", "the platform has its owner already")
		}
		return nil
	})
}

func (y *System) createUser(
	ctx context.Context, by waypost.Actor, u waypost.User, password string, invite *waypost.UserToken, allowed func(n int64) error,
) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		if u.OperatorID == waypost.PlatformOperatorID {
			return nil, waypost.NewError(waypost.Conflict, "platform_users", "the platform's people are owners, support and auditors")
		}
		if u.OperatorID != "" {
			if known, err := q.OperatorExists(ctx, u.OperatorID); err != nil {
				return nil, err
			} else if !known {
				return nil, notFound("operator")
			}
		}
		n, err := q.CountUsers(ctx, u.OperatorID)
		if err != nil {
			return nil, err
		}
		if err := allowed(n); err != nil {
			return nil, err
		}
		n, err = q.InsertUser(ctx, systemsql.InsertUserParams{
			ID: u.ID, OperatorID: u.OperatorID, Login: u.Login, Email: u.Email, Name: u.Name, Role: string(u.Role),
			Language: u.Language, Zone: u.TimeZone, Password: password, Totp: []byte{}, Disabled: u.Disabled, Created: waypost.Millis(u.Created),
		})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, &waypost.Error{Kind: waypost.Conflict, Code: "login_used", Field: "login", Message: "this login is used already: choose another one"}
		}
		entries := []waypost.AuditEntry{entry(by, u, u.Created, "user.create", waypost.Detail(u.Role))}
		if invite != nil {
			entries = append(entries, entry(by, u, u.Created, "user.invite", waypost.Detail(u.Email)))
			err = insertToken(ctx, q, *invite)
		}
		return entries, err
	})
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

func lastOwner() error {
	return waypost.NewError(waypost.Conflict, "last_owner", "this is the only owner who can sign in: make another one first")
}

// SaveUser reads a user of an operator, or of the platform for "", lets edit change it,
// and writes it, in one transaction. Address, name, role, language, time zone and Disabled
// can be changed, and the login together with the address. edit may run twice and must only
// look at what it is given; after its error nothing is written. With the role, or when it is
// disabled, the user's sessions end; with the address, links that were mailed to the old one.
// Errors are NotFound, and Conflict for the last owner and for a login that is used.
func (y *System) SaveUser(
	ctx context.Context, by waypost.Actor, operatorID, id string, now time.Time, edit func(*waypost.User) error,
) (u waypost.User, err error) {
	err = y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		before, err := userIn(ctx, q, operatorID, id)
		if err != nil {
			return nil, err
		}
		edited := before
		if err := edit(&edited); err != nil {
			return nil, err
		}
		u = before
		u.Email, u.Name, u.Role, u.Disabled = edited.Email, edited.Name, edited.Role, edited.Disabled
		u.Language, u.TimeZone, u.Login = edited.Language, edited.TimeZone, edited.Login
		if u == before {
			return nil, nil
		}
		if u.Login != before.Login {
			if used, err := q.LoginUsed(ctx, u.Login); err != nil {
				return nil, err
			} else if used {
				return nil, &waypost.Error{Kind: waypost.Conflict, Code: "address_used", Field: "email", Message: "another user signs in with this address already"}
			}
		}
		if rules(before) && !rules(u) {
			if err := anotherOwner(ctx, q, id); err != nil {
				return nil, err
			}
		}
		if err := q.UpdateUser(ctx, systemsql.UpdateUserParams{
			ID: id, Login: u.Login, Email: u.Email, Name: u.Name, Role: string(u.Role), Language: u.Language, Zone: u.TimeZone, Disabled: u.Disabled,
		}); err != nil {
			return nil, err
		}
		entries := changes(by, before, u, now)
		if u.Role != before.Role || u.Disabled && !before.Disabled {
			_, stopped, err := endSessions(ctx, q, by, before, "", now)
			if err != nil {
				return nil, err
			}
			entries = append(entries, stopped...)
		}
		if u.Email != before.Email || u.Disabled && !before.Disabled {
			if err := deleteLinks(ctx, q, id); err != nil {
				return nil, err
			}
		}
		return entries, nil
	})
	if err != nil {
		return waypost.User{}, fmt.Errorf("change user: %w", err)
	}
	return u, nil
}

// rules reports whether a user is an owner who can sign in.
func rules(u waypost.User) bool { return u.Role == waypost.RoleOwner && u.Active && !u.Disabled }

// anotherOwner fails if nobody else rules.
func anotherOwner(ctx context.Context, q *systemsql.Queries, id string) error {
	n, err := q.OtherOwners(ctx, id)
	if err == nil && n == 0 {
		return lastOwner()
	}
	return err
}

// changes says what was changed of a user.
func changes(by waypost.Actor, before, u waypost.User, now time.Time) []waypost.AuditEntry {
	var entries []waypost.AuditEntry
	if what := waypost.Details(
		waypost.ChangeDetail("role", before.Role, u.Role),
		waypost.ChangeDetail("login", before.Login, u.Login),
		waypost.ChangeDetail("email", before.Email, u.Email),
		waypost.ChangeDetail("name", before.Name, u.Name),
		waypost.ChangeDetail("language", before.Language, u.Language),
		waypost.ChangeDetail("time_zone", before.TimeZone, u.TimeZone),
	); what != "" {
		entries = append(entries, entry(by, u, now, "user.change", what))
	}
	switch {
	case u.Disabled && !before.Disabled:
		entries = append(entries, entry(by, u, now, "user.disable", ""))
	case !u.Disabled && before.Disabled:
		entries = append(entries, entry(by, u, now, "user.enable", ""))
	}
	return entries
}

// userIn reads a user of an operator within a transaction.
func userIn(ctx context.Context, q *systemsql.Queries, operatorID, id string) (waypost.User, error) {
	row, err := q.AnyUser(ctx, id)
	u, err := oneUser(row, err)
	if err == nil && u.OperatorID != operatorID {
		err = notFound("user")
	}
	return u, err
}

// RemoveUser removes a user of an operator, or of the platform for "", with its sessions
// and tokens. Errors are NotFound, and Conflict for the last owner.
func (y *System) RemoveUser(ctx context.Context, by waypost.Actor, operatorID, id string, now time.Time) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		u, err := userIn(ctx, q, operatorID, id)
		if err != nil {
			return nil, err
		}
		if rules(u) {
			if err := anotherOwner(ctx, q, id); err != nil {
				return nil, err
			}
		}
		_, stopped, err := endSessions(ctx, q, by, u, "", now)
		if err != nil {
			return nil, err
		}
		for _, remove := range []func(context.Context, string) error{q.DeleteSessions, q.DeleteAllTokens, q.DeleteUser} {
			if err := remove(ctx, id); err != nil {
				return nil, err
			}
		}
		return append(stopped, entry(by, u, now, "user.remove", waypost.Detail(u.Role))), nil
	})
	if err != nil {
		return fmt.Errorf("remove user: %w", err)
	}
	return nil
}

// SetPassword replaces the password of a user, if it still is the old one, and ends the
// user's sessions but one. The error is Conflict if somebody else was quicker.
func (y *System) SetPassword(ctx context.Context, by waypost.Actor, id, old, password, keep string, now time.Time) error {
	err := y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		row, err := q.AnyUser(ctx, id)
		u, err := oneUser(row, err)
		if err != nil {
			return nil, err
		}
		return setPassword(ctx, q, by, u, old, password, keep, waypost.DetailPasswordChanged, now)
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// setPassword replaces a password; how goes into the log.
func setPassword(
	ctx context.Context, q *systemsql.Queries, by waypost.Actor, u waypost.User, old, password, keep string, how waypost.DetailCode, now time.Time,
) ([]waypost.AuditEntry, error) {
	n, err := q.SetUserPassword(ctx, systemsql.SetUserPasswordParams{ID: u.ID, Password: password, Old: old})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, changedMeanwhile()
	}
	if err := deleteLinks(ctx, q, u.ID); err != nil {
		return nil, err
	}
	_, stopped, err := endSessions(ctx, q, by, u, keep, now)
	return append(stopped, entry(by, u, now, "user.password", waypost.NewDetail(how))), err
}

// changedMeanwhile is the answer to who relies on what is no longer so.
func changedMeanwhile() error {
	return waypost.NewError(waypost.Conflict, "changed_meanwhile", "this was changed meanwhile: try again")
}

// RehashPassword keeps the same password under another hash, unless it was changed.
func (y *System) RehashPassword(ctx context.Context, id, old, password string) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		_, err := systemsql.New(tx).SetUserPassword(ctx, systemsql.SetUserPasswordParams{ID: id, Password: password, Old: old})
		return err
	})
	if err != nil {
		return fmt.Errorf("hash password anew: %w", err)
	}
	return nil
}
