package verify

import "time"

// RotationKey is what is remembered of one of the platform's two keys. Times are zero for
// never.
type RotationKey struct {
	Selector  string
	Created   time.Time
	Started   time.Time     // since when it signs
	Proposed  time.Time     // when the owner was told that it has signed for long
	Wanted    time.Time     // when it was asked to sign
	Seen      time.Time     // since when its record is at the authoritative servers
	Cached    time.Time     // since when it is at a recursive one too
	TTL       time.Duration // the longest that was seen of its records
	Retired   time.Time     // when it stopped signing
	Announced time.Time     // when the owner was told its record
}

// Sight is what a look at the record of a key found.
type Sight struct {
	Authoritative Verdict       // at the platform's own name servers
	Recursive     Verdict       // at a recursive one
	TTL           time.Duration // as published, of whatever is there
}

// RotationRules are what a rotation waits for.
type RotationRules struct {
	Keep    time.Duration // how long a key that has signed stays untouched
	Propose time.Duration // how long a key signs until its replacement is proposed
}

// How often the record of the key that waits is looked at.
const (
	wantedEvery = time.Minute // while a rotation is asked for
	spareEvery  = time.Hour
)

// RotationStep is what follows from a look at the keys.
type RotationStep struct {
	Signing, Other RotationKey // with what is to be remembered

	Switch   bool // Other signs from now on
	Replace  bool // Other has been kept long enough: a new key takes its place
	Announce bool // the owner has to be told the record of Other
	Propose  bool // the owner is told that it is time for a rotation
	Next     time.Time
}

// JudgeRotation draws the conclusions of a look at the record of the key that does not
// sign. Like Judge it has no clock and no network, and nothing follows from Unknown:
//
//  1. A key that stopped signing is left alone until the last mail it signed has arrived or
//     expired; then it is replaced, and whatever is seen is not about the new one.
//  2. The owner is told the record of a new key.
//  3. A key that is wanted signs when it is at the authoritative servers, and has been at a
//     recursive one for the longest time that caches may keep what was there before.
func JudgeRotation(signing, other RotationKey, sight Sight, rules RotationRules, now time.Time) RotationStep {
	s := RotationStep{Signing: signing, Other: other, Next: now.Add(spareEvery)}
	k := &s.Other
	if !k.Retired.IsZero() {
		free := k.Retired.Add(rules.Keep)
		if s.Replace = !free.After(now); s.Replace {
			free = now // the owner has to be told
		}
		s.Next = earlier(s.Next, free)
		return s
	}
	k.look(sight, now)
	if k.Announced.IsZero() {
		s.Announce, k.Announced = true, now
	}
	if k.Wanted.IsZero() {
		if signing.Proposed.IsZero() && !signing.Started.IsZero() && now.Sub(signing.Started) >= rules.Propose {
			s.Propose, s.Signing.Proposed = true, now
		}
		return s
	}
	s.Next = now.Add(wantedEvery)
	if k.Cached.IsZero() {
		return s
	}
	if ready := k.Ready(); ready.After(now) {
		s.Next = earlier(s.Next, ready)
	} else {
		s.Switch = sight.Authoritative == OK && sight.Recursive == OK
	}
	return s
}

// look notes what was seen.
func (k *RotationKey) look(sight Sight, now time.Time) {
	k.TTL = max(k.TTL, sight.TTL)
	note := func(since *time.Time, v Verdict) {
		switch {
		case v == Unknown:
		case v != OK:
			*since = time.Time{}
		case since.IsZero():
			*since = now
		}
	}
	note(&k.Seen, sight.Authoritative)
	note(&k.Cached, sight.Recursive)
	if k.Seen.IsZero() {
		k.Cached = time.Time{} // an answer that is not published any more
	}
}

// Ready is when a key may sign as far as caches are concerned, the zero time if that
// cannot be told yet.
func (k RotationKey) Ready() time.Time {
	if k.Seen.IsZero() || k.Cached.IsZero() {
		return time.Time{}
	}
	return k.Cached.Add(k.TTL)
}

// RotationState says how far a rotation is.
type RotationState string

// The states.
const (
	RotationReady   RotationState = "ready"   // the other key can be asked to sign
	RotationRecord  RotationState = "record"  // asked for; its record is not at all name servers yet
	RotationCaches  RotationState = "caches"  // asked for; caches may not have its record yet
	RotationKeeping RotationState = "keeping" // the other key has signed and is kept
)

// RotationStatus is how far a rotation is.
type RotationStatus struct {
	Signing, Other RotationKey
	State          RotationState
	Until          time.Time // when the next step can be, as far as is known
}

// StatusOf tells how far a rotation is.
func StatusOf(signing, other RotationKey, rules RotationRules) RotationStatus {
	s := RotationStatus{Signing: signing, Other: other, State: RotationReady}
	switch {
	case !other.Retired.IsZero():
		s.State, s.Until = RotationKeeping, other.Retired.Add(rules.Keep)
	case other.Wanted.IsZero():
	case other.Seen.IsZero():
		s.State = RotationRecord
	default:
		s.State, s.Until = RotationCaches, other.Ready()
	}
	return s
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
