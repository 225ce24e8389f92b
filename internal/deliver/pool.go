package deliver

import (
	"container/list"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

// session is a connection with what is known of it.
type session struct {
	*smtpc.Session
	host    string
	address string
	mails   int // begun
	most    int // mails that it may carry

	key  string        // where the pool keeps it
	rank *list.Element // in the pool's order, while it is kept
}

// newSession wraps a connection that was just made.
func (t *try) newSession(conn net.Conn, host, address string) *session {
	most := t.d.relays.mails
	if t.route == waypost.RouteDirect {
		most = t.d.direct.mails
	}
	return &session{
		Session: smtpc.New(conn, smtpc.Options{HELO: t.d.o.HELO, Timeouts: t.d.o.Timeouts, Step: t.trace()}),
		host:    host, address: address, most: most,
	}
}

// spent reports whether the session can carry no further mail.
func (s *session) spent() bool {
	if !s.Usable() {
		return true
	}
	most := s.most
	if told := s.Extensions().MailMax; told > 0 { // RFC 9422
		most = min(most, told)
	}
	return s.mails >= most
}

// pool keeps idle sessions by where they lead, the last used first: what is not
// needed grows old and is closed.
type pool struct {
	idle  time.Duration // kept so long without use
	most  int           // kept at once
	mails int           // per session

	mu      sync.Mutex
	kept    map[string][]*session
	order   list.List                  // of all kept, the one given first at the front
	waiting map[string][]chan *session // for a session to be given
	timer   *time.Timer
	closed  bool
	ending  sync.WaitGroup
}

func newPool(idle time.Duration, most, mails int) *pool {
	return &pool{idle: idle, most: most, mails: mails, kept: map[string][]*session{}, waiting: map[string][]chan *session{}}
}

// take returns an idle session to a place, nil if there is none.
func (p *pool) take(key string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.kept[key]
	if len(idle) == 0 {
		return nil
	}
	s := idle[len(idle)-1]
	p.remove(s)
	return s
}

// remove takes a session out of the pool. p.mu is held.
func (p *pool) remove(s *session) {
	idle := p.kept[s.key]
	if len(idle) == 1 {
		delete(p.kept, s.key)
	} else {
		p.kept[s.key] = slices.DeleteFunc(idle, func(other *session) bool { return other == s })
	}
	p.order.Remove(s.rank)
	s.rank = nil
}

// await waits until a session to a place is given, and returns it; nil when d has
// passed or ctx has ended.
func (p *pool) await(ctx context.Context, key string, d time.Duration) *session {
	given := make(chan *session, 1)
	p.mu.Lock()
	p.waiting[key] = append(p.waiting[key], given)
	p.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case s := <-given:
		return s
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	rest := slices.DeleteFunc(p.waiting[key], func(c chan *session) bool { return c == given })
	if len(rest) == 0 {
		delete(p.waiting, key)
	} else {
		p.waiting[key] = rest
	}
	p.mu.Unlock()
	select {
	case s := <-given: // in the last moment
		return s
	default:
		return nil
	}
}

// give keeps a session for the next mail, or ends it if it can carry no more.
func (p *pool) give(key string, s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || s.spent() {
		p.end(s)
		return
	}
	if first := p.waiting[key]; len(first) > 0 {
		if p.waiting[key] = first[1:]; len(first) == 1 {
			delete(p.waiting, key)
		}
		first[0] <- s
		return
	}
	s.key = key
	p.kept[key] = append(p.kept[key], s)
	s.rank = p.order.PushBack(s)
	if p.order.Len() > p.most {
		oldest := p.order.Front().Value.(*session)
		p.remove(oldest)
		p.end(oldest)
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(p.idle, p.sweep)
	}
}

// sweep ends what was not used for a while.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	if p.closed {
		return
	}
	for e := p.order.Front(); e != nil; e = p.order.Front() {
		s := e.Value.(*session)
		if age := time.Since(s.LastUsed()); age < p.idle {
			p.timer = time.AfterFunc(p.idle-age, p.sweep)
			return
		}
		p.remove(s)
		p.end(s)
	}
}

// end says goodbye to a session that is in nobody's hands, in the background. p.mu is
// held.
func (p *pool) end(s *session) { p.ending.Go(func() { end(s) }) }

// close ends all sessions, kept ones now and others when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for e := p.order.Front(); e != nil; e = p.order.Front() {
		s := e.Value.(*session)
		p.remove(s)
		p.end(s)
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	p.ending.Wait()
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
