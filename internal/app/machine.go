package app

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/panel"
)

// audited is what the last audit of this process found.
type audited struct {
	at       time.Time
	findings int
}

// pingTimeout bounds how long a page waits for the database to answer.
const pingTimeout = 3 * time.Second

// unnamedShown is how long a proxy that is not trusted is told of after its last request:
// somebody may just have tried something.
const unnamedShown = time.Hour

// Machine tells the panel what this process knows about itself.
func (a *App) Machine(ctx context.Context) panel.Machine {
	m := panel.Machine{Version: a.version, Started: a.started, DiskReserve: max(a.Config.DiskReserve, 0)}
	if list := a.listeners.Load(); list != nil {
		m.Listeners = *list
	}
	if a.rotation != nil {
		m.Signer, m.SignerWhy = a.Keys.Engine()
	}
	if a.disk != nil {
		m.DiskFree, m.DiskShort = int64(a.disk.free.Load()), a.disk.full()
	}
	m.Database = a.Engine.Dialect.Name
	if !a.Config.Postgres() {
		m.DatabaseSize = sizeOf(filepath.Join(a.Config.DataDir, databaseFile))
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	began := time.Now()
	m.DatabaseDown = a.System.Ping(ctx) != nil
	m.DatabaseTook = time.Since(began)
	if a.unnamed != nil {
		if peer, at := a.unnamed.Last(); peer.IsValid() && time.Since(at) < unnamedShown {
			m.UnnamedProxy = peer.String()
		}
	}
	if last := a.audited.Load(); last != nil {
		m.AuditAt, m.AuditFindings = last.at, last.findings
	}
	return m
}

// noteListeners makes known where this process listens, once it does everywhere.
func (a *App) noteListeners() {
	list := make([]panel.Listener, 0, len(a.addrs))
	for _, name := range slices.Sorted(maps.Keys(a.addrs)) {
		list = append(list, panel.Listener{Name: name, Addr: a.addrs[name].String()})
	}
	a.listeners.Store(&list)
}

// sizeOf is how much room an SQLite database takes with its log, 0 if that cannot be told.
func sizeOf(path string) int64 {
	var sum int64
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
