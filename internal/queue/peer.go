package queue

import (
	"context"
	"maps"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// peer is what is known of another node.
type peer struct {
	beat  int64
	since time.Time // when this number was first read, by our own clock
}

// peerLoop watches the other nodes' numbers.
func (q *Queue) peerLoop(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	seen := map[string]peer{}
	for {
		if q.lease.mayTalk() == nil { // who is cut off cannot judge others
			q.round("watching peers", func() { q.watchPeers(ctx, seen) })
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchPeers takes over from nodes whose number has not moved for 30 s of our own
// clock. One node alone finds nobody.
func (q *Queue) watchPeers(ctx context.Context, seen map[string]peer) {
	nodes, err := q.store.Nodes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot list nodes", "error", err)
		}
		return
	}
	now := time.Now()
	there := map[string]bool{}
	for _, n := range nodes {
		if n.Incarnation == q.lease.incarnation {
			continue
		}
		there[n.Incarnation] = true
		p, known := seen[n.Incarnation]
		if !known || p.beat != n.Beat {
			seen[n.Incarnation] = peer{n.Beat, now}
			continue
		}
		if now.Sub(p.since) >= deadAfter {
			q.takeOver(ctx, n.Incarnation, n.Name)
		}
	}
	for id := range seen {
		if !there[id] {
			delete(seen, id)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.peers = maps.Clone(seen)
}

func (q *Queue) takeOver(ctx context.Context, incarnation, name string) {
	count, err := q.store.Recover(ctx, incarnation, time.Now())
	if err != nil {
		if ctx.Err() == nil {
			q.log.Error("cannot take over from a dead node", "node", name, "error", err)
		}
		return
	}
	q.log.Warn("took over from a dead node", "node", name, "deliveries", count)
	q.Wake()
}

// strayEvery is how often leases are compared with what is in memory.
const strayEvery = 30 * time.Second

// strayLoop finds leases that nobody works on. A claim or an accept whose commit was
// answered by a lost connection or came too late may have leased rows that are in
// nobody's memory, and a node that was taken for dead may have committed one more.
func (q *Queue) strayLoop(ctx context.Context) {
	ticker := time.NewTicker(strayEvery)
	defer ticker.Stop()
	suspects := map[string]int64{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		q.round("looking for strays", func() {
			orphans, err := q.store.Orphans(ctx)
			for _, incarnation := range orphans {
				if incarnation != q.lease.incarnation {
					q.takeOver(ctx, incarnation, "")
				}
			}
			if err == nil {
				suspects, err = q.strays(ctx, suspects)
			}
			if err != nil && ctx.Err() == nil {
				q.log.Error("cannot look for stray leases", "error", err)
			}
		})
	}
}

// strays gives back leases of this node that are not in its memory, if they were not
// the last time either, and returns the ones to look at again, with their epochs.
func (q *Queue) strays(ctx context.Context, before map[string]int64) (map[string]int64, error) {
	leased, err := q.store.Leased(ctx, q.lease.incarnation)
	if err != nil {
		return before, err
	}
	suspects := map[string]int64{}
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range leased {
		// What a claim under way has leased is on its way into memory.
		if _, ok := q.ours[d.ID]; ok || q.claiming[d.OperatorID] > 0 || q.stopping {
			continue
		}
		if epoch, twice := before[d.ID]; !twice || epoch != d.Epoch {
			suspects[d.ID] = d.Epoch
			continue
		}
		q.log.Warn("gave back a lease that nobody worked on", "delivery", d.ID)
		j, why := &job{lane: d.Lane.Rank(), messageID: d.MessageID}, ""
		if d.Kind == waypost.KindTest { // tried once only, and that was it
			j.once, why = &waypost.Once{}, "the one try was interrupted"
		}
		q.jobs.Go(func() { q.finishUntried(j, []waypost.Delivery{d}, now, why, now) })
	}
	return suspects, nil
}
