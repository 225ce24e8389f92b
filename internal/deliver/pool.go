package deliver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/waypost/waypost/internal/smtpc"
)

// session is a kept connection with what is known of it.
type session struct {
	*smtpc.Session
	host    string
	address string
	fresh   bool // nothing was sent over it yet
}

// pool keeps idle sessions by where they lead, the last used first: what is not
// needed grows old and is closed.
type pool struct {
	idle  time.Duration // kept so long without use
	mails int           // per session

	mu     sync.Mutex
	kept   map[string][]*session
	timer  *time.Timer
	closed bool
}

func newPool(idle time.Duration, mails int) *pool {
	return &pool{idle: idle, mails: mails, kept: map[string][]*session{}}
}

// take returns an idle session to a place, nil if there is none.
func (p *pool) take(key string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.kept[key]
	if len(list) == 0 {
		return nil
	}
	s := list[len(list)-1]
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(p.kept, key)
	} else {
		p.kept[key] = list
	}
	s.fresh = false
	return s
}

// give keeps a session for the next mail, or ends it if it can carry no more.
func (p *pool) give(key string, s *session) {
	limit := p.mails
	if most := s.Extensions().MailMax; most > 0 {
		limit = min(limit, most)
	}
	if !s.Usable() || s.Sent() >= limit {
		end(s)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go end(s)
		return
	}
	p.kept[key] = append(p.kept[key], s)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.idle, p.sweep)
	}
}

// sweep ends what was not used for a while.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	for key, list := range p.kept {
		n := 0
		for n < len(list) && time.Since(list[n].LastUsed()) >= p.idle {
			go end(list[n])
			n++
		}
		if n == len(list) {
			delete(p.kept, key)
		} else {
			p.kept[key] = append([]*session(nil), list[n:]...)
		}
	}
	if len(p.kept) > 0 && !p.closed {
		p.timer = time.AfterFunc(p.idle/2, p.sweep)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	kept := p.kept
	p.kept = map[string][]*session{}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, list := range kept {
		for _, s := range list {
			wg.Go(func() { end(s) })
		}
	}
	wg.Wait()
}

// end says goodbye and closes, without waiting long for either.
func end(s *session) {
	if s.Usable() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.Quit(ctx)
	}
	_ = s.Close()
}

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
	if ok && time.Now().After(till) {
		delete(m.till, key)
		return false
	}
	return ok
}

// logins limits how often we log in to a relay: providers lock accounts that log in
// once per mail.
type logins struct {
	perMinute int
	mu        sync.Mutex
	limits    map[string]*rate.Limiter
}

func newLogins(perMinute int) *logins {
	return &logins{perMinute: perMinute, limits: map[string]*rate.Limiter{}}
}

func (l *logins) wait(ctx context.Context, key string) error {
	l.mu.Lock()
	limit := l.limits[key]
	if limit == nil {
		if len(l.limits) >= 10000 {
			clear(l.limits)
		}
		limit = rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), max(1, l.perMinute/2))
		l.limits[key] = limit
	}
	l.mu.Unlock()
	return limit.Wait(ctx)
}

// outage notices that no MX at all can be connected to: port 25 is closed to us.
type outage struct {
	mu    sync.Mutex
	sites map[string]bool // that could not be connected to since one could
	until time.Time
}

// outageSites is how many different sites must fail in a row; outageTime is how long
// direct delivery is then left alone.
const (
	outageSites = 3
	outageTime  = 10 * time.Minute
)

func (o *outage) failed(site string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sites == nil {
		o.sites = map[string]bool{}
	}
	o.sites[site] = true
	if len(o.sites) >= outageSites {
		o.until = time.Now().Add(outageTime)
		o.sites = nil
	}
}

func (o *outage) worked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sites, o.until = nil, time.Time{}
}

func (o *outage) now() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Before(o.until)
}
