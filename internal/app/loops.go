package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// How often the server looks after itself.
const (
	watchEvery     = 500 * time.Millisecond // changes by other processes take effect within a second
	gaugeEvery     = 15 * time.Second
	diskEvery      = 2 * time.Second
	choreEvery     = time.Second
	retentionEvery = 5 * time.Minute
	auditEvery     = time.Hour
	removeEvery    = 5 * time.Second
	refreshEvery   = time.Minute
	usedEvery      = 20 * time.Second
)

// startLoops starts what runs beside the listeners until Stop.
func (a *App) startLoops(disk *disk) {
	ctx, cancel := context.WithCancel(context.Background())
	a.Directory.OnChange(a.Auth.Changed)
	a.Directory.OnChange(a.Users.Changed)
	a.Directory.OnChange(a.Keys.changed)
	a.Directory.OnChange(a.Queue.Changed)
	a.loops.Go(func() {
		if err := a.Queue.Run(ctx); err != nil {
			a.fail(err)
		}
	})
	a.loops.Go(func() {
		if err := a.Directory.Watch(ctx, watchEvery); err != nil {
			a.fail(err)
		}
	})
	a.loops.Go(func() { a.Webhooks.Run(ctx) })
	a.loops.Go(func() { every(ctx, diskEvery, func(context.Context) { disk.look() }) })
	a.loops.Go(func() { every(ctx, gaugeEvery, a.gauges) })
	a.loops.Go(func() { every(ctx, choreEvery, a.chores) })
	a.loops.Go(func() { every(ctx, refreshEvery, a.refresh) })
	a.loops.Go(func() { every(ctx, usedEvery, a.flushUsed) })
	if a.Domains != nil {
		a.loops.Go(func() {
			every(ctx, choreEvery, a.checkDomains)
			a.Domains.Wait()
		})
	}
	if a.rotation != nil {
		a.loops.Go(func() { every(ctx, choreEvery, a.rotation.tick) })
	}
	// Last registered, first drained: nothing new starts while the rest ends.
	a.later("loops", func(context.Context) error { cancel(); return nil })
}

func every(ctx context.Context, d time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// refresh looks which addresses this machine has now: mail must not be dialed to them.
func (a *App) refresh(context.Context) {
	for _, g := range a.guards {
		if err := g.Refresh(); err != nil {
			a.Log.Warn("cannot read the addresses of this machine", "error", err)
		}
	}
}

// flushUsed writes which keys were used.
func (a *App) flushUsed(ctx context.Context) {
	if err := a.Auth.FlushUsed(ctx); err != nil && ctx.Err() == nil {
		a.Log.Warn("cannot record when keys were used", "error", err)
	}
}

// gauges sets the metrics that are read, not counted.
func (a *App) gauges(ctx context.Context) {
	depth, err := a.System.QueueDepth(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Warn("cannot read the queue's depth", "error", err)
		}
		return
	}
	for _, lane := range waypost.Lanes() {
		a.Metrics.QueueDepth(lane, depth[lane])
	}
	if n, err := a.System.RelaysFailing(ctx); err == nil {
		a.Metrics.RelaysFailing(int(n))
	}
	a.Metrics.SitesSlowed(a.Queue.Slowed())
	if events, failing, err := a.System.WebhookLoad(ctx); err == nil {
		a.Metrics.WebhookLoad(events, failing)
	}
}

// chores runs what is due now and then, each on one node only.
func (a *App) chores(ctx context.Context) {
	for _, c := range []struct {
		name   string
		every  time.Duration
		run    func(context.Context) error
		wanted func(context.Context) (bool, error) // nil: always
	}{
		{"retention", retentionEvery, a.retain, nil},
		{"audit", auditEvery, a.audit, nil},
		{"deleted operators", removeEvery, a.removeOperators, a.anyRemovals},
	} {
		now, ours := time.Now(), true
		var err error
		if c.wanted != nil {
			ours, err = c.wanted(ctx)
		}
		if err == nil && ours {
			ours, err = a.System.TakeChore(ctx, c.name, a.Queue.Incarnation(), now, now.Add(c.every))
		}
		if err == nil && ours {
			err = c.run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			a.Log.Error("chore failed", "chore", c.name, "error", err)
		}
	}
}

// retain removes what has been kept long enough, in small steps.
func (a *App) retain(ctx context.Context) error {
	keep := system.Retention{
		Content: a.Config.RetentionContent, Reports: a.Config.RetentionReports, Metadata: a.Config.RetentionMetadata, Webhooks: a.Config.RetentionWebhooks,
	}
	for {
		more, err := a.System.Retention(ctx, time.Now(), keep)
		if err != nil {
			return err
		}
		if !more {
			return a.System.EraseResidue(ctx)
		}
	}
}

// audit compares counters, rows and events. A finding is a bug or a damaged database,
// and is never repaired silently.
func (a *App) audit(ctx context.Context) error {
	findings, err := a.System.Audit(ctx)
	if err != nil {
		return err
	}
	for _, f := range findings {
		a.Log.Error("conservation is broken", "operator", f.OperatorID, "what", f.What, "want", f.Want, "got", f.Got)
	}
	a.Metrics.AuditFindings(len(findings))
	a.audited.Store(&audited{at: time.Now(), findings: len(findings)})
	return nil
}

// disk watches the free space of the data directory.
type disk struct {
	dir     string
	reserve uint64
	short   atomic.Bool
	free    atomic.Uint64
}

func newDisk(dir string, reserve int64) *disk {
	d := &disk{dir: dir, reserve: uint64(max(reserve, 0))}
	d.look()
	return d
}

func (d *disk) look() {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &fs); err != nil {
		return // what cannot be measured stops nothing; the database will say no by itself
	}
	free := fs.Bavail * uint64(fs.Bsize)
	d.free.Store(free)
	d.short.Store(free < d.reserve)
}

func (d *disk) full() bool { return d.short.Load() }

func (d *disk) check(context.Context) error {
	if d.full() {
		return fmt.Errorf("%w: %d bytes free", errDiskShort, d.free.Load())
	}
	return nil
}

var errDiskShort = errors.New("less disk space than the reserve")
