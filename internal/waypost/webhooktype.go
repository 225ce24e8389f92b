package waypost

import "slices"

// WebhookType is what an event is about. The values are documented in docs/api.md: they are
// added to, never renamed.
type WebhookType string

// The types of events.
const (
	WebhookAccepted    WebhookType = "message.accepted"
	WebhookOK          WebhookType = "delivery.delivered"
	WebhookDeferred    WebhookType = "delivery.deferred"
	WebhookBounced     WebhookType = "delivery.bounced"
	WebhookExpired     WebhookType = "delivery.expired"
	WebhookStopped     WebhookType = "delivery.cancelled"
	WebhookSuppressed  WebhookType = "delivery.suppressed"
	WebhookUncertain   WebhookType = "delivery.uncertain"
	WebhookHeld        WebhookType = "delivery.held"
	WebhookReleased    WebhookType = "delivery.released"
	WebhookComplained  WebhookType = "delivery.complained"
	WebhookSuppress    WebhookType = "suppression.added"
	WebhookUnsuppress  WebhookType = "suppression.removed"
	WebhookRelayDown   WebhookType = "relay.failing"
	WebhookRelayUp     WebhookType = "relay.recovered"
	WebhookGuardWarned WebhookType = "gateway.warned"
	WebhookGuardSlowed WebhookType = "gateway.slowed"
	WebhookGuardPaused WebhookType = "gateway.paused"
	WebhookGuardEnded  WebhookType = "gateway.resumed"
	WebhookTest        WebhookType = "webhook.test" // sent by the test button only
	WebhookBatch       WebhookType = "batch"        // several events in one call
)

// WebhookTypes lists what a webhook can be told.
func WebhookTypes() []WebhookType {
	return []WebhookType{
		WebhookAccepted, WebhookOK, WebhookDeferred, WebhookBounced, WebhookExpired, WebhookStopped, WebhookSuppressed,
		WebhookUncertain, WebhookHeld, WebhookReleased, WebhookComplained, WebhookSuppress, WebhookUnsuppress,
		WebhookRelayDown, WebhookRelayUp, WebhookGuardWarned, WebhookGuardSlowed, WebhookGuardPaused, WebhookGuardEnded,
	}
}

// ParseWebhookType returns the type named s, and whether a webhook can be told it.
func ParseWebhookType(s string) (WebhookType, bool) {
	t := WebhookType(s)
	return t, slices.Contains(WebhookTypes(), t)
}

// WebhookType is what webhooks are told about an event, "" for nothing.
func (t EventType) WebhookType() WebhookType {
	switch t {
	case EventAccepted:
		return WebhookAccepted
	case EventSuppress:
		return WebhookSuppressed
	case EventDelivered:
		return WebhookOK
	case EventDeferred:
		return WebhookDeferred
	case EventBounced:
		return WebhookBounced
	case EventExpired:
		return WebhookExpired
	case EventCancelled:
		return WebhookStopped
	case EventUncertain:
		return WebhookUncertain
	case EventHeld:
		return WebhookHeld
	case EventReleased:
		return WebhookReleased
	case EventComplained:
		return WebhookComplained
	case EventRetried, EventRequested, EventRecovered, EventErased:
	}
	return ""
}
