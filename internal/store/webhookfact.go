package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/waypost"
)

// hookEvent is an event on its way to webhooks.
type hookEvent struct {
	operator, id, chain string
	kind                waypost.WebhookType
	data                any // nil: it is made of the event's row when it is sent
	at                  time.Time
}

const (
	hookEventColumns = 9
	hookEventHead    = `INSERT INTO webhook_event (operator_id, webhook_id, id, chain, type, payload, replay, call_id, at)`
)

// WriteFacts queues facts that have no event of their own for the webhooks of their
// operators, in the transaction of the facts.
func WriteFacts(ctx context.Context, tx *engine.Tx, facts ...waypost.WebhookFact) error {
	events := make([]hookEvent, len(facts))
	for i, f := range facts {
		events[i] = hookEvent{operator: f.OperatorID, id: eventID(f.At, tx.Serial()), chain: f.Chain, kind: f.Type, data: f.Data, at: f.At}
	}
	return tellWebhooks(ctx, tx, events)
}

// tellWebhooks queues events for whoever wants them. Most operators have no webhook: then
// it costs one look at an index for the whole group.
func tellWebhooks(ctx context.Context, tx *engine.Tx, events []hookEvent) error {
	if len(events) == 0 {
		return nil
	}
	hooks, err := hooksOf(ctx, tx, events)
	if err != nil || len(hooks) == 0 {
		return err
	}
	var args []any
	for _, e := range events {
		payload := ""
		for i := range hooks[e.operator] {
			w := &hooks[e.operator][i]
			if !w.Wants(e.kind) {
				continue
			}
			if e.data != nil && payload == "" {
				text, err := json.Marshal(e.data)
				if err != nil {
					return fmt.Errorf("write %s: %w", e.kind, err)
				}
				payload = string(text)
			}
			args = append(args, e.operator, w.ID, e.id, e.chain, string(e.kind), payload, false, "", waypost.Millis(e.at))
			TellWebhook(tx, WebhookKey{e.operator, w.ID})
		}
	}
	return tx.Rows(ctx, hookEventHead, "", nil, hookEventColumns, args)
}

// hooksOf reads the enabled webhooks of the operators of some events.
func hooksOf(ctx context.Context, tx *engine.Tx, events []hookEvent) (map[string][]waypost.Webhook, error) {
	seen := map[string]bool{}
	var operators []any
	for _, e := range events {
		if !seen[e.operator] {
			seen[e.operator] = true
			operators = append(operators, e.operator)
		}
	}
	hooks := map[string][]waypost.Webhook{}
	err := tx.EachRows(ctx, "SELECT id, operator_id, types FROM webhook WHERE enabled AND operator_id IN (", ")", nil, 1, operators,
		func(rows *sql.Rows) error {
			var w waypost.Webhook
			var types string
			if err := rows.Scan(&w.ID, &w.OperatorID, &types); err != nil {
				return err
			}
			var err error
			w.Types, err = webhookTypes(types)
			hooks[w.OperatorID] = append(hooks[w.OperatorID], w)
			return err
		})
	return hooks, err
}
