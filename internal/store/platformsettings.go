package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// PlatformSettings reads what the owner has chosen for the whole platform.
func (s *Store) PlatformSettings(ctx context.Context) (waypost.PlatformSettings, error) {
	p, err := platformSettings(ctx, tenantsql.New(s.engine.Reader()))
	if err != nil {
		return p, fmt.Errorf("read platform settings: %w", err)
	}
	return p, nil
}

// ReadPlatformSettings is PlatformSettings within a transaction.
func ReadPlatformSettings(ctx context.Context, tx *engine.Tx) (waypost.PlatformSettings, error) {
	return platformSettings(ctx, tenantsql.New(tx))
}

func platformSettings(ctx context.Context, q *tenantsql.Queries) (waypost.PlatformSettings, error) {
	p := waypost.DefaultPlatformSettings()
	rows, err := q.Settings(ctx)
	if err != nil {
		return p, err
	}
	sections := p.Sections()
	for _, row := range rows {
		section, known := sections[row.Section]
		if !known { // of a newer version
			continue
		}
		if err := json.Unmarshal([]byte(row.Value), section); err != nil {
			return p, fmt.Errorf("section %s: %w", row.Section, err)
		}
	}
	return p, nil
}
