package webhook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// maxBatchBytes ends a batch before its most events.
const maxBatchBytes = 256 << 10

// event is one event as it is sent.
type event = waypost.WebhookEnvelope[json.RawMessage]

// render makes an event of what was read. Content and subjects of mail are not in it.
func render(v *store.WebhookEvent) (event, error) {
	data := json.RawMessage(v.Payload)
	if v.Payload == "" {
		var facts any
		if v.Event.DeliveryID == "" {
			facts = messageData(v)
		} else {
			facts = deliveryData(v)
		}
		var err error
		if data, err = jsonOf(facts); err != nil {
			return event{}, err
		}
	}
	return event{ID: v.ID, Type: v.Type, Timestamp: waypost.WebhookTime(v.At), Replay: v.Replay, Data: data}, nil
}

func messageData(v *store.WebhookEvent) waypost.WebhookMessageData {
	m := &v.Message
	return waypost.WebhookMessageData{
		OperatorID: v.Event.OperatorID, MessageID: m.ID, BatchID: m.BatchID, Kind: m.Kind, Lane: m.Lane, Test: m.Test,
		Tags: notNil(m.Tags), Metadata: notNilMap(m.Metadata), Deliveries: v.Event.Count,
	}
}

func deliveryData(v *store.WebhookEvent) waypost.WebhookDeliveryData {
	m, e := &v.Message, &v.Event
	d := waypost.WebhookDeliveryData{
		OperatorID: e.OperatorID, MessageID: m.ID, BatchID: m.BatchID, DeliveryID: e.DeliveryID, Recipient: v.Recipient,
		Kind: m.Kind, Lane: m.Lane, Test: m.Test, Tags: notNil(m.Tags), Metadata: notNilMap(m.Metadata),
		Before: e.From, After: e.To, Reason: e.Detail,
	}
	cause := ""
	if a := &v.Attempt; a.Number > 0 {
		d.Attempt = &waypost.WebhookDeliveryTried{
			Number: a.Number, Route: a.Route, Host: a.Host, TLS: a.TLS, Code: a.Reply.Code, Enhanced: a.Reply.Enhanced, Reply: a.Reply.Text,
		}
		cause = a.Cause
	}
	if v.Type == waypost.WebhookBounced {
		cause = cmp.Or(cause, v.Cause) // reported later: there was an attempt, and it went well
	}
	if cause != "" {
		d.Cause, d.Class = cause, string(classify.Cause(cause).Class())
	}
	return d
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func notNilMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// compose makes calls of events, at most so many. The events of a chain are in one call, or
// the later ones wait for the next. Gone are events that are not known any more.
func compose(w *waypost.Webhook, events []store.WebhookEvent, most int, now time.Time) (calls []store.WebhookNewCall, gone []string, err error) {
	var open []event // of the call that is being filled
	var ids []string
	size := 0
	chains := map[string]int{} // in which call
	finish := func() error {
		if len(open) == 0 {
			return nil
		}
		c, err := newCall(w, open, now)
		if err != nil {
			return err
		}
		calls = append(calls, store.WebhookNewCall{WebhookCall: c, EventIDs: ids})
		open, ids, size = nil, nil, 0
		return nil
	}
	for i := range events {
		v := &events[i]
		if v.Payload == "" && v.Event.ID == "" {
			gone = append(gone, v.ID)
			continue
		}
		e, err := render(v)
		if err != nil {
			return nil, nil, err
		}
		if len(open) >= w.MaxEvents || len(open) > 0 && size+len(e.Data) > maxBatchBytes {
			if err := finish(); err != nil {
				return nil, nil, err
			}
		}
		if len(calls) >= most {
			break
		}
		if at, known := chains[v.Chain]; known && at != len(calls) {
			continue // what came before it is in another call
		}
		chains[v.Chain] = len(calls)
		open, ids, size = append(open, e), append(ids, v.ID), size+len(e.Data)
	}
	return calls, gone, finish()
}

// newCall freezes what a call sends.
func newCall(w *waypost.Webhook, events []event, now time.Time) (waypost.WebhookCall, error) {
	c := waypost.WebhookCall{
		ID: waypost.NewIDAt(now), OperatorID: w.OperatorID, WebhookID: w.ID, Type: waypost.WebhookBatch, Events: len(events),
		State: waypost.WebhookWaiting, NextAt: now, Expires: now.Add(waypost.WebhookLife), Created: now,
	}
	for _, e := range events {
		c.Replay = c.Replay || e.Replay
	}
	var body any
	if w.MaxEvents > 1 {
		body = waypost.WebhookEnvelope[waypost.WebhookBatchData[json.RawMessage]]{
			ID: c.ID, Type: waypost.WebhookBatch, Timestamp: waypost.WebhookTime(now), Replay: c.Replay,
			Data: waypost.WebhookBatchData[json.RawMessage]{Events: events},
		}
	} else {
		c.Type, body = events[0].Type, events[0]
	}
	var err error
	c.Body, err = jsonOf(body)
	return c, err
}

func jsonOf(v any) (json.RawMessage, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	return text, nil
}
