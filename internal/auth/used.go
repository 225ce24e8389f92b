package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	usedEvery = time.Minute // how often it is written that one credential is used, at most
	usedBatch = 500         // credentials written at once: the writes of others wait meanwhile
)

// uses remember when credentials were last used until that is written. Who authenticates
// only stores a number here.
type uses struct{ byID sync.Map } // credential id: *use

type use struct {
	at      atomic.Int64 // unix milliseconds
	written int64        // the same; only FlushUsed looks at it
}

func (u *uses) mark(id string, now time.Time) {
	v, ok := u.byID.Load(id)
	if !ok {
		v, _ = u.byID.LoadOrStore(id, &use{})
	}
	v.(*use).at.Store(now.UnixMilli())
}

// FlushUsed writes when credentials were last used, of each at most once a minute. It is
// for one loop to call. What could not be written is tried again next time; a crash loses
// it.
func (a *Auth) FlushUsed(ctx context.Context) error {
	return a.flushUsed(ctx, usedEvery)
}

// FlushAllUsed is FlushUsed for when the process ends: it writes whatever is not written.
func (a *Auth) FlushAllUsed(ctx context.Context) error {
	return a.flushUsed(ctx, 0)
}

func (a *Auth) flushUsed(ctx context.Context, every time.Duration) (err error) {
	due := map[string]time.Time{}
	marked := map[string]*use{}
	flush := func() {
		if err != nil || len(due) == 0 {
			return
		}
		if err = a.store.CredentialsUsed(ctx, due); err != nil {
			return
		}
		for id, u := range marked {
			u.written = due[id].UnixMilli()
		}
		clear(due)
		clear(marked)
	}
	a.used.byID.Range(func(id, v any) bool {
		u := v.(*use)
		if at := u.at.Load(); at > u.written && at-u.written >= every.Milliseconds() {
			due[id.(string)], marked[id.(string)] = time.UnixMilli(at), u
		}
		if len(due) == usedBatch {
			flush()
		}
		return err == nil
	})
	flush()
	return err
}
