package web

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Unnamed notices a proxy that nobody named as trusted: requests from this machine or its
// own network that carry the address of another client. To whoever limits clients all that
// come through it are one, so the wrong passwords of one person lock everybody out. Nothing
// is believed because of it; it is only noticed.
type Unnamed struct {
	front Front
	found func(peer netip.Addr) // called once

	once sync.Once
	mu   sync.Mutex
	peer netip.Addr
	last time.Time
}

// NewUnnamed returns an Unnamed that calls found for the first proxy it notices.
func NewUnnamed(front Front, found func(peer netip.Addr)) *Unnamed {
	return &Unnamed{front: front, found: found}
}

// Watch makes a handler look at its requests.
func (u *Unnamed) Watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.look(r)
		next.ServeHTTP(w, r)
	})
}

func (u *Unnamed) look(r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == "" { // RFC 7239
		return
	}
	addr, ok := remote(r)
	// Strangers write such headers too, but do not come from here.
	if !ok || u.front.trusted(addr) || !addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast() {
		return
	}
	u.mu.Lock()
	u.peer, u.last = addr, time.Now()
	u.mu.Unlock()
	u.once.Do(func() { u.found(addr) })
}

// Last returns the address of the proxy that was noticed last, the zero Addr for none, and
// when.
func (u *Unnamed) Last() (peer netip.Addr, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.peer, u.last
}
