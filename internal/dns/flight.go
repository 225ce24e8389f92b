package dns

import (
	"context"
	"sync"
)

// flights lets everyone with the same question wait for one answer. Unlike
// x/sync/singleflight it gives up a question nobody waits for any more, so a
// canceled lookup leaves nothing behind. The zero value is ready.
type flights struct {
	mu  sync.Mutex
	air map[question]*flight
}

type flight struct {
	cancel  context.CancelFunc
	waiting int
	done    chan struct{} // closed when reply is set
	reply   *reply
}

// do returns what resolve answers, or the error of ctx when that ends first.
func (f *flights) do(ctx context.Context, q question, resolve func(context.Context, question) *reply) (*reply, error) {
	fl := f.join(ctx, q, resolve)
	select {
	case <-fl.done:
		return fl.reply, nil
	case <-ctx.Done():
		f.leave(q, fl)
		return nil, ctx.Err()
	}
}

func (f *flights) join(ctx context.Context, q question, resolve func(context.Context, question) *reply) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.air[q]; ok {
		fl.waiting++
		return fl
	}
	// The one who asked first may leave; the question stays for the others.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight{cancel: cancel, waiting: 1, done: make(chan struct{})}
	if f.air == nil {
		f.air = make(map[question]*flight)
	}
	f.air[q] = fl
	go func() {
		defer cancel()
		fl.reply = resolve(ctx, q)
		f.land(q, fl)
		close(fl.done)
	}()
	return fl
}

func (f *flights) leave(q question, fl *flight) {
	f.mu.Lock()
	fl.waiting--
	empty := fl.waiting == 0
	if empty && f.air[q] == fl {
		delete(f.air, q) // nobody may join what is being given up
	}
	f.mu.Unlock()
	if empty {
		fl.cancel()
	}
}

func (f *flights) land(q question, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.air[q] == fl {
		delete(f.air, q)
	}
}
