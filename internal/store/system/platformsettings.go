package system

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system/systemsql"
	"github.com/waypost/waypost/internal/waypost"
)

// ChangePlatformSettings changes the settings of the platform, all of the changes or none.
// What change returns comes back as it is; an Invalid error names the section and the value
// that cannot be. Every section that is another one then is in the audit log.
func (y *System) ChangePlatformSettings(ctx context.Context, by waypost.Actor, change func(*waypost.PlatformSettings) error) (waypost.PlatformSettings, error) {
	var is waypost.PlatformSettings
	err := y.Write(ctx, func(ctx context.Context, tx *engine.Tx) error {
		was, err := store.ReadPlatformSettings(ctx, tx)
		if err != nil {
			return err
		}
		is = was
		if err := change(&is); err != nil {
			return err
		}
		now, before := time.Now(), was.Sections()
		var entries []waypost.AuditEntry
		for name, section := range is.Sections() {
			diff := waypost.SettingsDiff(before[name], section)
			if diff == "" {
				continue
			}
			if err := section.Check(); err != nil {
				if e, ok := errors.AsType[*waypost.Error](err); ok {
					e.Field = name + "." + e.Field
				}
				return err
			}
			value, err := section.MarshalJSON()
			if err != nil {
				return err
			}
			if err := systemsql.New(tx).SetSetting(ctx, systemsql.SetSettingParams{Section: name, Value: string(value)}); err != nil {
				return err
			}
			entries = append(entries, waypost.AuditEntry{
				OperatorID: waypost.PlatformOperatorID, Actor: by, Action: "platform.settings", Target: name, Detail: diff, At: now,
			})
		}
		if len(entries) == 0 {
			return nil
		}
		if err := store.BumpChange(ctx, tx); err != nil {
			return err
		}
		return store.WriteAudit(ctx, tx, entries...)
	})
	if err != nil {
		return is, fmt.Errorf("save platform settings: %w", err)
	}
	return is, nil
}
