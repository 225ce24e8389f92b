package queue

import (
	"time"

	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// place is where a key waits for its turn.
type place int

const (
	nowhere  place = iota
	inMemory       // in its lane's ring of keys with jobs
	inRows         // in its lane's ring of keys to claim
	atDest         // at a destination without a free slot
)

// keyState is what is known of a key while anything is.
type keyState struct {
	key      system.Key
	jobs     []*job // in memory, in order
	due      bool   // has rows in the database that are due now
	claiming bool
	parked   bool         // has no route; waits for a change or its timer
	missed   time.Time    // when rows fall due that a claim under way may not have seen
	listed   place        // where it waits
	from     *destination // that woke it and holds a slot for it
	turn     keyTurn      // of an operator that is slowed down

	at   time.Time // when to look again, if slot is not 0
	slot int       // its place in the timers, counted from 1
}

func (k *keyState) ready() bool {
	return len(k.jobs) > 0 || (k.due && !k.claiming && !k.parked)
}

// owner is whose keys are counted together.
type owner struct {
	lane     int
	operator string
}

// maxKeys bounds how many keys of one operator and lane are kept in memory only
// because they have rows; the scan finds the others in a later round.
const maxKeys = 2048

// key returns the state of a key, making it if needed. q.mu is held.
func (q *Queue) key(key system.Key) *keyState {
	k := q.keys[key]
	if k == nil {
		k = &keyState{key: key}
		q.keys[key] = k
		q.known[owner{key.Lane, key.OperatorID}]++
	}
	return k
}

// forget drops a key of which nothing is known any more. q.mu is held.
func (q *Queue) forget(k *keyState) {
	if q.keys[k.key] != k || len(k.jobs) > 0 || k.due || k.claiming || k.parked || k.listed != nowhere || k.slot != 0 {
		return
	}
	delete(q.keys, k.key)
	o := owner{k.key.Lane, k.key.OperatorID}
	if q.known[o]--; q.known[o] == 0 {
		delete(q.known, o)
	}
}

// note takes in when a key has rows that are due, and reports whether that was news.
// A parked key is left alone unless the rows are of mail that may go whatever the
// operator's state. q.mu is held.
func (q *Queue) note(d system.DueKey, now time.Time, always bool) bool {
	if q.keys[d.Key] == nil && q.known[owner{d.Lane, d.OperatorID}] >= maxKeys {
		return false
	}
	k := q.key(d.Key)
	news := false
	switch {
	case k.claiming:
		if k.missed.IsZero() || d.NextAt.Before(k.missed) {
			k.missed = d.NextAt
		}
	case k.parked && k.slot != 0 && !always:
	case !d.NextAt.After(now):
		news = !k.due || k.parked
		q.dueNow(k, now)
	case !k.due || k.parked:
		q.remember(k, d.NextAt)
	}
	q.forget(k)
	return news
}

// noteRow takes in when a delivery's row is due. Security mail goes even if its
// operator is suspended. q.mu is held.
func (q *Queue) noteRow(d *waypost.Delivery, at, now time.Time) {
	q.note(system.DueKey{Key: keyOf(d), NextAt: at}, now, d.Kind == waypost.KindSecurity)
}

// keyOf is the key that a delivery's row is found by.
func keyOf(d *waypost.Delivery) system.Key {
	return system.Key{Lane: d.Lane.Rank(), OperatorID: d.OperatorID, Site: d.Site}
}

// dueNow lists a key whose rows are due, or has a claim under way look again. q.mu is held.
func (q *Queue) dueNow(k *keyState, now time.Time) {
	if k.claiming {
		k.missed = now
		return
	}
	k.due, k.parked = true, false
	q.list(k)
}

// list puts a ready key into its lane's ring. q.mu is held.
func (q *Queue) list(k *keyState) {
	lane := &q.lanes[k.key.Lane]
	switch {
	case !k.ready():
	case k.listed == nowhere:
		lane.push(k)
	default:
		lane.promote(k)
	}
}
