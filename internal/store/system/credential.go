package system

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// CredentialByHash finds a credential by the SHA-256 of its key; nil if there is
// none. A revoked one is returned with Revoked set.
func (y *System) CredentialByHash(ctx context.Context, hash []byte) (*store.Credential, error) {
	row, err := y.queries().CredentialByHash(ctx, hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // a wrong key is an ordinary answer
	}
	if err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	c, err := store.CredentialOf(store.CredentialRow(row))
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// NetworkCredentials lists the valid credentials whose networks need no key.
func (y *System) NetworkCredentials(ctx context.Context) ([]store.Credential, error) {
	rows, err := y.queries().NetworkCredentials(ctx)
	return credentials(rows, err)
}

// AllCredentials lists the credentials of an operator, or of everyone for "", revoked
// ones too, oldest first.
func (y *System) AllCredentials(ctx context.Context, operatorID string) ([]store.Credential, error) {
	if operatorID != "" {
		return y.Credentials(ctx, operatorID)
	}
	rows, err := y.queries().AllCredentials(ctx)
	return credentials(rows, err)
}

// PlatformCredentials lists the platform's own, revoked ones too, oldest first.
func (y *System) PlatformCredentials(ctx context.Context) ([]store.Credential, error) {
	return y.Credentials(ctx, "")
}

func credentials[R systemsql.NetworkCredentialsRow | systemsql.AllCredentialsRow](rows []R, err error) ([]store.Credential, error) {
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	list := make([]store.Credential, len(rows))
	for i, row := range rows {
		if list[i], err = store.CredentialOf(store.CredentialRow(row)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// CreateCredential adds a credential with the SHA-256 of its key. The error is
// Conflict if one of its networks overlaps one of another operator (the platform
// counts as one), so that a client's address never names two tenants, or if the key
// is in use.
func (y *System) CreateCredential(ctx context.Context, by waypost.Actor, c store.Credential, hash []byte) error {
	networks, err := list(c.Networks)
	if err != nil {
		return err
	}
	scopes, err := list(c.Scopes)
	if err != nil {
		return err
	}
	if c.Created.IsZero() {
		c.Created = time.Now()
	}
	entry := waypost.AuditEntry{
		OperatorID: cmp.Or(c.OperatorID, waypost.PlatformOperatorID), Actor: by, Action: "credential.create", Target: cmp.Or(c.Name, c.Hint), Detail: waypost.Detail(scopes),
	}
	err = y.audited(ctx, entry, func(ctx context.Context, q *systemsql.Queries) error {
		rows, err := q.NetworkCredentials(ctx)
		others, err := credentials(rows, err)
		if err != nil {
			return err
		}
		if err := overlap(c, others); err != nil {
			return err
		}
		return q.InsertCredential(ctx, systemsql.InsertCredentialParams{
			ID: c.ID, OperatorID: c.OperatorID, Name: c.Name, KeyHash: hash, KeyHint: c.Hint, Networks: networks, Scopes: scopes,
			Test: c.Test, DefaultKind: string(c.DefaultKind), FromPolicy: string(c.FromPolicy), Created: waypost.Millis(c.Created),
		})
	})
	if y.engine.Dialect.IsUnique(err) {
		return waypost.NewError(waypost.Conflict, "key_used", "there is a credential with this key already")
	}
	if err != nil {
		return fmt.Errorf("create credential: %w", err)
	}
	return nil
}

// list writes a JSON list, "[]" for none.
func list[T netip.Prefix | waypost.Scope](items []T) (string, error) {
	if len(items) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(items)
	if err != nil {
		return "", fmt.Errorf("create credential: %w", err)
	}
	return string(b), nil
}

func overlap(c store.Credential, others []store.Credential) error {
	for _, other := range others {
		if other.OperatorID == c.OperatorID {
			continue
		}
		for _, theirs := range other.Networks {
			for _, ours := range c.Networks {
				if ours.Overlaps(theirs) {
					return &waypost.Error{
						Kind: waypost.Conflict, Code: "network_used", Field: "networks",
						Message: fmt.Sprintf("network %s overlaps one of another operator", ours),
					}
				}
			}
		}
	}
	return nil
}

// CredentialsUsed records when credentials were last used, by id. A moment before the one
// that is kept changes nothing.
func (y *System) CredentialsUsed(ctx context.Context, used map[string]time.Time) error {
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		q := systemsql.New(tx)
		for _, id := range slices.Sorted(maps.Keys(used)) { // in order, so that two nodes never wait for each other
			if err := q.CredentialUsed(ctx, systemsql.CredentialUsedParams{ID: id, Used: waypost.Millis(used[id])}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record use of credentials: %w", err)
	}
	return nil
}

// CredentialName is how people know a credential, whosever it is ("" for the platform's):
// its name or the beginning of its key. The error is NotFound.
func (y *System) CredentialName(ctx context.Context, id string) (operatorID, name string, err error) {
	known, err := y.queries().CredentialKnownAs(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", notFound("credential")
	}
	if err != nil {
		return "", "", fmt.Errorf("read credential: %w", err)
	}
	return known.OperatorID, cmp.Or(known.Name, known.KeyHint), nil
}

// RevokeAny ends the use of any credential. Revoking twice is no error; the error is
// NotFound if there is no such credential.
func (y *System) RevokeAny(ctx context.Context, by waypost.Actor, id string) error {
	return y.recorded(ctx, func(ctx context.Context, q *systemsql.Queries) ([]waypost.AuditEntry, error) {
		known, err := q.CredentialKnownAs(ctx, id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, notFound("credential")
		}
		if err != nil {
			return nil, err
		}
		n, err := q.RevokeCredential(ctx, systemsql.RevokeCredentialParams{ID: id, Revoked: waypost.Millis(time.Now())})
		if err != nil || n == 0 {
			return nil, err
		}
		return []waypost.AuditEntry{{
			OperatorID: cmp.Or(known.OperatorID, waypost.PlatformOperatorID), Actor: by, Action: "credential.revoke",
			Target: cmp.Or(known.Name, known.KeyHint),
		}}, nil
	})
}
