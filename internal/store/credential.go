package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Credential is an API key as kept: of the key itself there is only a hash, which no
// query returns, and its first characters.
type Credential struct {
	ID          string
	OperatorID  string // "" for the platform's
	Name        string
	Hint        string         // first characters of the key
	Networks    []netip.Prefix // clients there need no key
	Scopes      []waypost.Scope
	Test        bool
	DefaultKind waypost.Kind // "" for none
	FromPolicy  waypost.FromPolicy
	Created     time.Time
	Revoked     time.Time // zero: valid
	Used        time.Time // last, to a minute or so; zero for never
}

// Credentials lists an operator's credentials, revoked ones too, oldest first.
func (s *Store) Credentials(ctx context.Context, operatorID string) ([]Credential, error) {
	rows, err := s.queries().Credentials(ctx, operatorID)
	return credentials(rows, err)
}

// CredentialPage lists an operator's credentials, revoked ones too, newest first, before
// the one whose id is cursor; limit 0 means 50.
func (s *Store) CredentialPage(ctx context.Context, operatorID, cursor string, limit int) ([]Credential, error) {
	rows, err := s.queries().CredentialPage(ctx, tenantsql.CredentialPageParams{
		OperatorID: operatorID, Before: Before(cursor), Most: int64(pageSize(limit)),
	})
	return credentials(rows, err)
}

// Credential reads one of an operator's credentials. The error is NotFound.
func (s *Store) Credential(ctx context.Context, operatorID, id string) (Credential, error) {
	row, err := s.queries().Credential(ctx, tenantsql.CredentialParams{OperatorID: operatorID, ID: id})
	if err != nil {
		return Credential{}, one(err, "credential")
	}
	return CredentialOf(CredentialRow(row))
}

func credentials[R tenantsql.CredentialsRow | tenantsql.CredentialPageRow](rows []R, err error) ([]Credential, error) {
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	list := make([]Credential, len(rows))
	for i, row := range rows {
		if list[i], err = CredentialOf(CredentialRow(row)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// RevokeCredential ends the use of an operator's credential. Revoking twice is no
// error; the error is NotFound if the operator has no such credential.
func (s *Store) RevokeCredential(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	return s.change(ctx, func(ctx context.Context, tx *engine.Tx, q *tenantsql.Queries) error {
		known, err := q.CredentialKnownAs(ctx, tenantsql.CredentialKnownAsParams{OperatorID: operatorID, ID: id})
		if err != nil {
			return one(err, "credential")
		}
		n, err := q.RevokeCredential(ctx, tenantsql.RevokeCredentialParams{
			OperatorID: operatorID, ID: id, Revoked: waypost.Millis(time.Now()),
		})
		if err != nil || n == 0 {
			return err
		}
		return audit(ctx, tx, by, operatorID, "credential.revoke", cmp.Or(known.Name, known.KeyHint), "")
	})
}

// CredentialRow is a credential as generated queries read it, here and in store/system.
type CredentialRow struct {
	ID          string
	OperatorID  string
	Name        string
	KeyHint     string
	Networks    string
	Scopes      string
	Test        bool
	DefaultKind string
	FromPolicy  string
	Created     int64
	Revoked     int64
	Used        int64
}

// CredentialOf makes a credential of its row.
func CredentialOf(row CredentialRow) (Credential, error) {
	c := Credential{
		ID: row.ID, OperatorID: row.OperatorID, Name: row.Name, Hint: row.KeyHint, Test: row.Test,
		DefaultKind: waypost.Kind(row.DefaultKind), FromPolicy: waypost.FromPolicy(row.FromPolicy),
		Created: waypost.FromMillis(row.Created), Revoked: waypost.FromMillis(row.Revoked), Used: waypost.FromMillis(row.Used),
	}
	if err := json.Unmarshal([]byte(row.Networks), &c.Networks); err != nil {
		return c, fmt.Errorf("networks of credential %s: %w", row.ID, err)
	}
	if err := json.Unmarshal([]byte(row.Scopes), &c.Scopes); err != nil {
		return c, fmt.Errorf("scopes of credential %s: %w", row.ID, err)
	}
	return c, nil
}
