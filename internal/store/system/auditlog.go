package system

import (
	"context"
	"fmt"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// AuditLog lists what was changed of all operators and the platform, newest first, before
// the entry whose id is cursor.
func (y *System) AuditLog(ctx context.Context, cursor string, limit int) ([]waypost.AuditEntry, error) {
	rows, err := y.queries().AuditLog(ctx, systemsql.AuditLogParams{Before: store.Before(cursor), Most: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	list := make([]waypost.AuditEntry, len(rows))
	for i, row := range rows {
		list[i] = store.AuditOf(tenantsql.Audit(row))
	}
	return list, nil
}
