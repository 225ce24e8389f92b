package auth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/waypost"
)

// maxBuckets bounds how much one throttle remembers.
const maxBuckets = 10_000

// tellEvery is how often the same key is told of, at most.
const tellEvery = time.Hour

// throttle is a token bucket for each key, so many at once and then one in a while. Every
// try counts, right or wrong, and before it is looked at: else a thousand at the same
// moment would all be let through. Who is right is forgotten.
type throttle[K comparable] struct {
	burst int
	every time.Duration

	mu      sync.Mutex
	buckets map[K]*bucket
}

type bucket struct {
	limit *rate.Limiter
	told  time.Time
}

func newThrottle[K comparable](burst int, every time.Duration) *throttle[K] {
	return &throttle[K]{burst: burst, every: every, buckets: map[K]*bucket{}}
}

// take counts a try and reports whether it may go on. If it may not, tell says that this
// is news about the key.
func (t *throttle[K]) take(now time.Time, key K) (ok, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[key]
	if b == nil {
		if len(t.buckets) >= maxBuckets {
			t.makeRoom(now)
		}
		b = &bucket{limit: rate.NewLimiter(rate.Every(t.every), t.burst)}
		t.buckets[key] = b
	}
	if b.limit.AllowN(now, 1) {
		return true, false
	}
	if now.Sub(b.told) < tellEvery {
		return false, false
	}
	b.told = now
	return false, true
}

// forget is for who was right.
func (t *throttle[K]) forget(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.buckets, key)
}

// makeRoom drops keys about which nothing is left to know and, when there are none among
// those it looks at, anyone: the order of a map is random.
func (t *throttle[K]) makeRoom(now time.Time) {
	looked := 0
	for key, b := range t.buckets {
		if b.limit.TokensAt(now) >= float64(t.burst) {
			delete(t.buckets, key)
		}
		if looked++; looked == 100 { // an attack must not make every try scan the whole map
			break
		}
	}
	for key := range t.buckets {
		if len(t.buckets) < maxBuckets {
			return
		}
		delete(t.buckets, key)
	}
}

// guesses limit what is tried about one user. A stranger who guesses must not lock the
// user out: where the user has signed in from before, tries are counted apart.
type guesses struct {
	strangers *throttle[string]
	known     *throttle[from]
}

type from struct {
	user    string
	network netip.Prefix
}

func newGuesses(burst int, every time.Duration) *guesses {
	return &guesses{strangers: newThrottle[string](burst, every), known: newThrottle[from](burst, every)}
}

func (g *guesses) forget(user string, network netip.Prefix) {
	g.strangers.forget(user)
	g.known.forget(from{user, network})
}

// perSite is how many networks of one site may be at their limit at once.
const perSite = 4

// visitors limit what clients try. A holder of many networks could try in all of them, so
// their site is counted, too, with room for several networks.
type visitors struct {
	networks *throttle[netip.Prefix]
	sites    *throttle[netip.Prefix]
}

func newVisitors(burst int, every time.Duration) *visitors {
	return &visitors{
		networks: newThrottle[netip.Prefix](burst, every),
		sites:    newThrottle[netip.Prefix](perSite*burst, every/perSite),
	}
}

// take counts a try of a client and reports whether it may go on. It is crowded where others
// of the site tried too much: the client may be a mere neighbor of theirs.
func (v *visitors) take(now time.Time, peer string) (ok, crowded bool) {
	addr, _ := netip.ParseAddr(peer)
	if ok, _ := v.networks.take(now, waypost.PeerNetwork(addr)); !ok {
		return false, false
	}
	if site := waypost.PeerSite(addr); site.IsValid() {
		ok, _ := v.sites.take(now, site)
		return true, !ok
	}
	return true, false
}

// networkOf is what counts as one client. An address that is none is a client, too.
func networkOf(peer string) netip.Prefix {
	addr, _ := netip.ParseAddr(peer)
	return waypost.PeerNetwork(addr)
}
