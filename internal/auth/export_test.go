package auth

import "context"

// CheapHashes makes hashes of passwords cost next to nothing.
func (u *Users) CheapHashes() { u.hash.cost = cost{memory: 16, time: 1, threads: 1} }

// OtherHashes makes them cost a little more than CheapHashes.
func (u *Users) OtherHashes() { u.hash.cost = cost{memory: 24, time: 1, threads: 1} }

// OccupyHashes takes the slot that strangers have for hashes until release.
func (u *Users) OccupyHashes(ctx context.Context) (release func()) {
	if err := u.hash.strangers.enter(ctx); err != nil {
		panic(err)
	}
	return u.hash.strangers.leave
}

// WaitingForHashes is how many strangers wait for the slot or have it.
func (u *Users) WaitingForHashes() int { return len(u.hash.strangers.waiting) }

// MaxWaiting is how many may.
const MaxWaiting = hashSlots + hashWaiting

// MaxBuckets is how many keys a throttle remembers.
const MaxBuckets = maxBuckets

// Throttled counts the keys that the throttle of clients remembers.
func (u *Users) Throttled() int { return len(u.clients.networks.buckets) }

// CommonPasswords is the list of them.
func CommonPasswords() string { return commonPasswords }
