package store

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// Changes gathers what state changes leave beside the delivery itself: events,
// counters, and the erasure of security mail. Its zero value is empty.
type Changes struct {
	events  []waypost.Event
	tally   Tally
	secrets []string // messages of kind security that may have become final
}

// Event records a fact about a delivery and, if its state changed, counts it.
func (c *Changes) Event(e waypost.Event, kind waypost.Kind, from, to waypost.State) {
	c.EventOf(e, kind, from, to, e.At)
}

// EventOf is Event for what is counted in the hour of another moment: what turns out later
// to have gone wrong then.
func (c *Changes) EventOf(e waypost.Event, kind waypost.Kind, from, to waypost.State, hour time.Time) {
	if from != to {
		e.From, e.To = from, to
		switch to {
		case waypost.Expired:
			e.Type = waypost.EventExpired
		case waypost.Cancelled:
			e.Type = waypost.EventCancelled
		default:
		}
		c.tally.Moved(e.OperatorID, kind, from, to, hour, 1)
		if to.Final() && kind == waypost.KindSecurity {
			c.secrets = append(c.secrets, e.MessageID)
		}
	}
	c.events = append(c.events, e)
}

// Builtin counts what became of a delivery on the built-in gateway in the hour in which it
// ended there. Mail over other routes and tests do not count.
func (c *Changes) Builtin(d *waypost.Delivery, route waypost.RouteKind, ended, now time.Time, f waypost.GatewayFigures) {
	if f == (waypost.GatewayFigures{}) || d.Kind == waypost.KindTest || (route != waypost.RouteDirect && route != waypost.RouteUpstream) {
		return
	}
	c.tally.Builtin(d.OperatorID, d.Kind, ended, now, f)
}

// Write writes all of it under a node's name.
func (c *Changes) Write(ctx context.Context, tx *engine.Tx, node string, now time.Time) error {
	for _, id := range c.secrets {
		erased, err := EraseSecret(ctx, tx, id, now)
		if err != nil {
			return err
		}
		if erased != "" {
			c.events = append(c.events, ErasedSecret(erased, id, now))
		}
	}
	if err := WriteEvents(ctx, tx, c.events); err != nil {
		return err
	}
	return c.tally.Write(ctx, tx, node)
}
