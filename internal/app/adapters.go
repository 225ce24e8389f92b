package app

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/waypost"
)

// groups tells the metrics about group commits.
type groups struct{ m *obs.Metrics }

// Group implements engine.Observer.
func (g groups) Group(items int, took time.Duration) { g.m.Committed(items, took) }

// deliveries tells the metrics about the queue.
type deliveries struct{ *obs.Metrics }

// Sessions implements queue.Observer.
func (d deliveries) Sessions(n int) { d.SessionsOpen(obs.Outbound, n) }

// revoked stops a kept SMTP session whose credential was revoked.
type revoked struct{ auth *auth.Auth }

// Allow implements smtpd.Limiter.
func (r revoked) Allow(ctx context.Context, p waypost.Principal) error { return r.auth.Valid(ctx, p) }
