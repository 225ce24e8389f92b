package deliver

import (
	"sync"
	"time"
)

// memory remembers keys for a while, at most so many.
type memory struct {
	keep time.Duration
	most int
	mu   sync.Mutex
	till map[string]time.Time
}

func newMemory(keep time.Duration, most int) *memory {
	return &memory{keep: keep, most: most, till: map[string]time.Time{}}
}

func (m *memory) add(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.till) >= m.most {
		clear(m.till)
	}
	m.till[key] = time.Now().Add(m.keep)
}

func (m *memory) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	till, ok := m.till[key]
	if ok && !time.Now().Before(till) {
		delete(m.till, key)
		return false
	}
	return ok
}

// logins limits how often we log in to a relay: providers lock accounts that log in
// once per mail. No minute, wherever it begins, has more logins than allowed.
type logins struct {
	perMinute int
	mu        sync.Mutex
	recent    map[string][]time.Time // of the last minute, in order
}

// maxLoginKeys is how many relays are known before those that rest are forgotten.
const maxLoginKeys = 10000

func newLogins(perMinute int) *logins {
	return &logins{perMinute: perMinute, recent: map[string][]time.Time{}}
}

// next returns 0 if one may log in now, which is then counted, else how long to wait
// before asking again.
func (l *logins) next(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	recent, known := l.recent[key]
	if !known && len(l.recent) >= maxLoginKeys {
		l.forget(now)
	}
	for len(recent) > 0 && now.Sub(recent[0]) >= time.Minute {
		recent = recent[1:]
	}
	if len(recent) >= l.perMinute {
		l.recent[key] = recent
		return time.Minute - now.Sub(recent[0])
	}
	l.recent[key] = append(recent, now)
	return 0
}

func (l *logins) forget(now time.Time) {
	for key, recent := range l.recent {
		if now.Sub(recent[len(recent)-1]) >= time.Minute {
			delete(l.recent, key)
		}
	}
}
