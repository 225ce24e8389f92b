package waypost

import "time"

// WebhookFact is something webhooks are told that has no row in the log of a message.
type WebhookFact struct {
	OperatorID string
	Type       WebhookType
	Chain      string // facts of one chain are told in their order: "suppression/x@example.com", "relay", "gateway"
	Data       any    // one of the types below, as JSON
	At         time.Time
}

// WebhookEnvelope is an event as an endpoint gets it: alone, or in a batch.
type WebhookEnvelope[D any] struct {
	ID        string      `json:"id" doc:"Of the event: the same each time it is told, also when it is replayed."`
	Type      WebhookType `json:"type"`
	Timestamp string      `json:"timestamp" format:"date-time" doc:"When it happened."`
	Replay    bool        `json:"replay,omitempty" doc:"Somebody asked for it again."`
	Data      D           `json:"data"`
}

// WebhookBatchData is what a batch has.
type WebhookBatchData[D any] struct {
	Events []WebhookEnvelope[D] `json:"events" nullable:"false" doc:"In their order."`
}

// WebhookMessageData tells about a message.
type WebhookMessageData struct {
	OperatorID string            `json:"operator_id"`
	MessageID  string            `json:"message_id"`
	BatchID    string            `json:"batch_id,omitempty" doc:"Of the request that became several messages."`
	Kind       Kind              `json:"kind"`
	Lane       Lane              `json:"lane"`
	Test       bool              `json:"test,omitempty" doc:"Sent with a test key: it went to the sandbox."`
	Tags       []string          `json:"tags" nullable:"false"`
	Metadata   map[string]string `json:"metadata" nullable:"false"`
	Deliveries int               `json:"deliveries" doc:"Recipients that mail is queued for."`
}

// WebhookDeliveryData tells about one recipient of a message.
type WebhookDeliveryData struct {
	OperatorID string                `json:"operator_id"`
	MessageID  string                `json:"message_id"`
	BatchID    string                `json:"batch_id,omitempty"`
	DeliveryID string                `json:"delivery_id"`
	Recipient  string                `json:"recipient"`
	Kind       Kind                  `json:"kind"`
	Lane       Lane                  `json:"lane"`
	Test       bool                  `json:"test,omitempty" doc:"Sent with a test key: it went to the sandbox."`
	Tags       []string              `json:"tags" nullable:"false"`
	Metadata   map[string]string     `json:"metadata" nullable:"false"`
	Before     State                 `json:"state_before,omitempty" doc:"Left out, as state_after, if the state did not change."`
	After      State                 `json:"state_after,omitempty"`
	Reason     string                `json:"reason,omitempty" doc:"For people: the other server's words, or who asked for it."`
	Cause      string                `json:"cause,omitempty" doc:"Why it did not arrive, exactly."`
	Class      string                `json:"class,omitempty" doc:"The same, in one of a few words."`
	Attempt    *WebhookDeliveryTried `json:"attempt,omitempty" doc:"The attempt behind it."`
}

// WebhookDeliveryTried is the attempt behind an event.
type WebhookDeliveryTried struct {
	Number   int       `json:"number"`
	Route    RouteKind `json:"route" enum:"direct,upstream,relay,sandbox"`
	Host     string    `json:"host,omitempty"`
	TLS      string    `json:"tls,omitempty" doc:"Left out: plain text."`
	Code     int       `json:"code,omitempty" doc:"SMTP reply; left out if there was none."`
	Enhanced string    `json:"enhanced,omitempty" doc:"Enhanced status code, RFC 3463."`
	Reply    string    `json:"reply,omitempty"`
}

// WebhookSuppressionData tells about an address that is or was not to be mailed.
type WebhookSuppressionData struct {
	OperatorID string            `json:"operator_id"`
	Address    string            `json:"address"`
	Reason     SuppressionReason `json:"reason" enum:"manual,hard_bounce,soft_bounce,complaint,unsubscribe"`
	Kind       Kind              `json:"kind,omitempty" doc:"Of the mail it is about; left out: of every kind."`
	Detail     string            `json:"detail,omitempty"`
	ExpiresAt  string            `json:"expires_at,omitempty" format:"date-time" doc:"Left out: never. No event tells when it comes."`
	MessageID  string            `json:"message_id,omitempty" doc:"The message that showed it."`
}

// WebhookRelayData tells about the operator's own SMTP server.
type WebhookRelayData struct {
	OperatorID   string `json:"operator_id"`
	Host         string `json:"host"`
	FailingSince string `json:"failing_since" format:"date-time"`
	Reason       string `json:"reason,omitempty" doc:"The server's words, or what failed."`
}

// WebhookGatewayData tells how the guard of the built-in gateway treats the operator.
type WebhookGatewayData struct {
	OperatorID string `json:"operator_id"`
	Reason     string `json:"reason,omitempty"`
}

// WebhookTestData is what the test button sends.
type WebhookTestData struct {
	OperatorID string `json:"operator_id"`
	WebhookID  string `json:"webhook_id"`
	Test       bool   `json:"test"`
}

// WebhookTime is an instant as webhooks tell it: RFC 3339, UTC, with milliseconds; "" for
// the zero one.
func WebhookTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
