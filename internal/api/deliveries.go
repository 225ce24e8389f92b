package api

import (
	"context"
	"net/http"
	"time"

	"github.com/waypost/waypost/internal/store"
)

func (s *server) registerDeliveries() {
	for _, o := range []struct {
		action               store.ControlAction
		summary, description string
	}{
		{store.Retry, "Try again now", "A queued delivery is tried now instead of later. An uncertain one is tried again: its recipient may get the mail twice."},
		{store.Cancel, "Cancel", "A queued or uncertain delivery is not tried any more."},
		{store.Hold, "Hold", "A queued delivery waits until it is released."},
		{store.Release, "Release", "A held delivery is tried now."},
	} {
		register(s, operation{
			ID: string(o.action) + "-delivery", Method: http.MethodPost, Path: "/v1/deliveries/{id}/" + string(o.action),
			Tag: "Deliveries", Status: http.StatusOK, Summary: o.summary, Description: o.description,
		}, func(ctx context.Context, c *caller, in *ByID) (*answer[controlled], error) {
			return s.control(ctx, c, in.ID, o.action)
		})
		register(s, operation{
			ID: string(o.action) + "-message", Method: http.MethodPost, Path: "/v1/messages/{id}/" + string(o.action),
			Tag: "Deliveries", Status: http.StatusOK, Summary: o.summary + ": all deliveries of a message",
			Description: "The same as for one delivery, for every delivery of the message whose state allows it, all at once. 409 if there is none.",
		}, func(ctx context.Context, c *caller, in *ByID) (*answer[controlledMessage], error) {
			return s.controlMessage(ctx, c, in.ID, o.action)
		})
	}
}

// controlled is a delivery after a control action.
type controlled struct {
	Delivery
	Pending bool `json:"pending" doc:"It is being tried right now: what was asked for takes effect before the next step, or not at all if the mail is gone by then. Look again."`
}

func (s *server) control(ctx context.Context, c *caller, id string, action store.ControlAction) (*answer[controlled], error) {
	got, err := s.Store.Control(ctx, c.actor(), c.operator(), id, action, time.Now())
	if err != nil {
		return nil, err
	}
	s.Queue.Wake()
	return &answer[controlled]{controlled{Delivery: s.showDelivery(c, &got.Delivery), Pending: got.Pending}}, nil
}

// controlledMessage is what became of an action on all deliveries of a message.
type controlledMessage struct {
	Done    int `json:"done" doc:"Deliveries that it was done to."`
	Pending int `json:"pending" doc:"Deliveries that are being tried right now: it takes effect before the next step, or not at all if the mail is gone by then."`
	Refused int `json:"refused" doc:"Deliveries whose state does not allow it."`
}

func (s *server) controlMessage(ctx context.Context, c *caller, id string, action store.ControlAction) (*answer[controlledMessage], error) {
	got, err := s.Store.ControlMessage(ctx, c.actor(), c.operator(), id, action, time.Now())
	if err != nil {
		return nil, err
	}
	s.Queue.Wake()
	return &answer[controlledMessage]{controlledMessage(got)}, nil
}
