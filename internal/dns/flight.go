package dns

import (
	"context"
	"sync"
)

// flights lets everyone with the same question K wait for one answer V. Unlike
// x/sync/singleflight it gives up a question nobody waits for any more, so a
// canceled lookup leaves nothing behind. The zero value is ready.
type flights[K comparable, V any] struct {
	mu  sync.Mutex
	air map[K]*flight[V]
}

type flight[V any] struct {
	cancel  context.CancelFunc
	waiting int
	done    chan struct{} // closed when reply is set
	reply   V
}

// do returns what resolve answers, or the error of ctx when that ends first.
func (f *flights[K, V]) do(ctx context.Context, q K, resolve func(context.Context, K) V) (V, error) {
	fl := f.join(ctx, q, resolve)
	select {
	case <-fl.done:
		return fl.reply, nil
	case <-ctx.Done():
		f.leave(q, fl)
		var none V
		return none, ctx.Err()
	}
}

func (f *flights[K, V]) join(ctx context.Context, q K, resolve func(context.Context, K) V) *flight[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.air[q]; ok {
		fl.waiting++
		return fl
	}
	// The one who asked first may leave; the question stays for the others.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight[V]{cancel: cancel, waiting: 1, done: make(chan struct{})}
	if f.air == nil {
		f.air = make(map[K]*flight[V])
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

func (f *flights[K, V]) leave(q K, fl *flight[V]) {
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

func (f *flights[K, V]) land(q K, fl *flight[V]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.air[q] == fl {
		delete(f.air, q)
	}
}
