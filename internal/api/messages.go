package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

func (s *server) registerMessages() {
	register(s, operation{
		ID: "send-message", Method: http.MethodPost, Path: "/v1/messages", Tag: "Messages", Status: http.StatusAccepted,
		MaxBody: s.maxMessageBody(),
		Summary: "Hand over a mail",
		Description: "The answer comes after the mail is safely stored. Each address of to, cc and bcc becomes one delivery. " +
			"From must be a sender of the operator; another one is replaced by the operator's default sender, or refused if the key says so.",
	}, s.send)
	register(s, operation{
		ID: "list-messages", Method: http.MethodGet, Path: "/v1/messages", Tag: "Messages", Status: http.StatusOK,
		Summary: "Search messages",
		Description: "Newest first; conditions are joined by \"and\". One call looks at a bounded number of messages: with truncated there may be more " +
			"matches than the answer has, even if it has none, and next goes on where the search stopped.",
	}, s.listMessages)
	register(s, operation{
		ID: "get-message", Method: http.MethodGet, Path: "/v1/messages/{id}", Tag: "Messages", Status: http.StatusOK,
		Summary:     "Show what became of a message",
		Description: "The message, or all messages of a batch, with deliveries, attempts and events.",
	}, s.getMessage)
	register(s, operation{
		ID: "get-message-raw", Method: http.MethodGet, Path: "/v1/messages/{id}/raw", Tag: "Messages", Status: http.StatusOK, Produces: mediaMail,
		Summary:     "Download a message",
		Description: "As it was stored when it was accepted, while its content is kept. Mail of kind security is never shown.",
	}, s.getMessageRaw)
	register(s, operation{
		ID: "get-conservation", Method: http.MethodGet, Path: "/v1/conservation", Tag: "Messages", Status: http.StatusOK,
		Summary:     "Count everything",
		Description: "What became of every delivery ever accepted: accepted is the sum of all others.",
	}, s.getConservation)
}

const mediaMail = "message/rfc822"

// address is a mailbox.
type address struct {
	Email string `json:"email" maxLength:"254"`
	Name  string `json:"name,omitempty" maxLength:"500"`
}

// Message is a mail without its content.
type Message struct {
	ID        string            `json:"id"`
	BatchID   string            `json:"batch_id,omitempty" doc:"Set if one request became several messages."`
	Kind      waypost.Kind      `json:"kind"`
	Lane      waypost.Lane      `json:"lane"`
	Source    string            `json:"source" doc:"How it came: smtp, api, panel, test, notice or forward."`
	Test      bool              `json:"test" doc:"Sent with a test key: it goes to the sandbox."`
	From      address           `json:"from"`
	Subject   string            `json:"subject" doc:"Empty for kind security."`
	HeaderID  string            `json:"header_id" doc:"The Message-ID field."`
	Size      int64             `json:"size" doc:"Bytes."`
	Tags      []string          `json:"tags" nullable:"false"`
	Metadata  map[string]string `json:"metadata"`
	CreatedAt string            `json:"created_at" format:"date-time"`
	SendAt    string            `json:"send_at,omitempty" format:"date-time"`
	ExpiresAt string            `json:"expires_at" format:"date-time"`
	ErasedAt  string            `json:"erased_at,omitempty" format:"date-time" doc:"When the content was removed."`
}

func showMessage(m *waypost.Message) Message {
	out := Message{
		ID: m.ID, BatchID: m.BatchID, Kind: m.Kind, Lane: m.Lane, Source: m.Source, Test: m.Test,
		From: address{Email: m.From.Email, Name: m.From.Name}, Subject: m.Subject, HeaderID: m.HeaderID, Size: m.Size,
		Tags: m.Tags, Metadata: m.Metadata, CreatedAt: stamp(m.Created), SendAt: stamp(m.SendAt), ExpiresAt: stamp(m.Expires),
		ErasedAt: stamp(m.Erased),
	}
	if m.Kind == waypost.KindSecurity {
		out.Subject = "" // it may be the code itself
	}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}

// messageItem is a message in a list.
type messageItem struct {
	Message
	Recipients int                   `json:"recipients" doc:"How many it has."`
	To         string                `json:"to" doc:"One of its recipients."`
	Statuses   map[waypost.State]int `json:"statuses" doc:"Its deliveries by status."`
}

// messagePage is a page of messages.
type messagePage struct {
	Page[messageItem]
	Truncated bool `json:"truncated" doc:"The search stopped at its bound before the page was full."`
}

type listMessagesInput struct {
	Recipient string        `query:"recipient" maxLength:"254" doc:"An address; a beginning of one, with * at its end; or a domain, as @example.com."`
	Subject   string        `query:"subject" maxLength:"500" doc:"Words that the subject has. Mail of kind security is not found by its subject."`
	Kind      waypost.Kind  `query:"kind" enum:"event,report,balance,security,test,other"`
	Status    waypost.State `query:"status" enum:"queued,delivered,bounced,expired,cancelled,suppressed,uncertain" doc:"Of at least one delivery."`
	Tag       string        `query:"tag" maxLength:"64"`
	Batch     string        `query:"batch_id" maxLength:"100"`
	From      time.Time     `query:"from" doc:"Accepted at this time or later."`
	To        time.Time     `query:"to" doc:"Accepted before this time."`
	Paging
}

func (s *server) listMessages(ctx context.Context, c *caller, in *listMessagesInput) (*answer[messagePage], error) {
	found, err := s.Store.Messages(ctx, c.operator(), store.MessageFilter{
		Recipient: in.Recipient, Subject: in.Subject, Kind: in.Kind, State: in.Status, Tag: in.Tag, BatchID: in.Batch,
		From: in.From, To: in.To, Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := &answer[messagePage]{Body: messagePage{
		Page: Page[messageItem]{Items: []messageItem{}, Next: found.Next}, Truncated: found.Truncated,
	}}
	for i := range found.Messages {
		m := &found.Messages[i]
		if in.Subject != "" && m.Kind == waypost.KindSecurity {
			continue // a search for all codes would show the one it finds
		}
		out.Body.Items = append(out.Body.Items, messageItem{
			Message: showMessage(&m.Message), Recipients: m.Recipients, To: m.Recipient, Statuses: m.States,
		})
	}
	return out, nil
}

// Delivery is one recipient of a message.
type Delivery struct {
	ID        string            `json:"id"`
	MessageID string            `json:"message_id"`
	To        string            `json:"to"`
	Status    waypost.State     `json:"status" enum:"queued,delivered,bounced,expired,cancelled,suppressed,uncertain"`
	Held      bool              `json:"held" doc:"It waits until somebody releases it."`
	Waiting   string            `json:"waiting,omitempty" doc:"While it is queued: what it waits for, in a sentence."`
	Reason    string            `json:"reason" doc:"Why it is where it is: the last words of the other server, or what happened."`
	Cause     string            `json:"cause" doc:"The sort of the last failure; empty if there was none."`
	Class     classify.Class    `json:"class" doc:"What the cause is counted as: one of a small set that is added to, never renamed."`
	Advice    string            `json:"advice,omitempty" doc:"What the cause means and what to do."`
	Kind      waypost.Kind      `json:"kind"`
	Lane      waypost.Lane      `json:"lane"`
	Route     waypost.RouteKind `json:"route" doc:"Of the last attempt: direct, upstream, relay or sandbox."`
	Tries     int               `json:"tries" doc:"Attempts begun."`
	NextAt    string            `json:"next_at,omitempty" format:"date-time" doc:"While it is queued: it is not tried before."`
	ExpiresAt string            `json:"expires_at" format:"date-time"`
	CreatedAt string            `json:"created_at" format:"date-time"`
	UpdatedAt string            `json:"updated_at" format:"date-time"`
}

func (s *server) showDelivery(c *caller, d *waypost.Delivery) Delivery {
	out := Delivery{
		ID: d.ID, MessageID: d.MessageID, To: d.Recipient, Status: d.State, Reason: d.Reason, Cause: d.Cause, Class: classOf(d.Cause),
		Advice: classify.Cause(d.Cause).Explain(), Kind: d.Kind, Lane: d.Lane, Route: d.Route, Tries: d.Attempts,
		ExpiresAt: stamp(d.Expires), CreatedAt: stamp(d.Created), UpdatedAt: stamp(d.Updated),
	}
	if d.State == waypost.Queued {
		out.Held, out.NextAt, out.Waiting = d.Held, stamp(d.NextAt), s.Queue.Why(c.account, d)
	}
	return out
}

// attempt is one try of a delivery.
type attempt struct {
	Number    int               `json:"number"`
	Route     waypost.RouteKind `json:"route"`
	Host      string            `json:"host"`
	Address   string            `json:"address"`
	TLS       string            `json:"tls" doc:"Empty without encryption."`
	Phase     waypost.Phase     `json:"phase" doc:"The last step it came to."`
	Outcome   waypost.Outcome   `json:"outcome"`
	Cause     string            `json:"cause"`
	Class     classify.Class    `json:"class" doc:"What the cause is counted as; empty without one."`
	Rule      string            `json:"rule" doc:"The rule on replies that named the cause; those of the owner's file begin with \"owner: \"."`
	Reply     waypost.Reply     `json:"reply" doc:"The other server's own words."`
	StartedAt string            `json:"started_at" format:"date-time"`
	TookMS    int64             `json:"took_ms"`
}

func showAttempt(a waypost.Attempt) attempt {
	return attempt{
		Number: a.Number, Route: a.Route, Host: a.Host, Address: a.Address, TLS: a.TLS, Phase: a.Phase, Outcome: a.Outcome,
		Cause: a.Cause, Class: classOf(a.Cause), Rule: a.Rule, Reply: a.Reply, StartedAt: stamp(a.Started), TookMS: a.Took.Milliseconds(),
	}
}

// classOf is the class of a cause, "" without one.
func classOf(cause string) classify.Class {
	if cause == "" {
		return ""
	}
	return classify.Cause(cause).Class()
}

// feedback is what was reported about a delivery after it had left.
type feedback struct {
	Sort     waypost.FeedbackSort `json:"sort" enum:"bounce,complaint"`
	Cause    string               `json:"cause" doc:"Of a bounce."`
	Class    classify.Class       `json:"class" doc:"Of a bounce: what the cause is counted as."`
	Rule     string               `json:"rule" doc:"Of a bounce: the rule on replies that named the cause."`
	Detail   string               `json:"detail" doc:"The reporter's own words; of a complaint its sort."`
	Reporter string               `json:"reporter" doc:"The server that reported, as it calls itself, and its address."`
	At       string               `json:"at" format:"date-time"`
}

func showFeedback(f waypost.Feedback) feedback {
	return feedback{Sort: f.Sort, Cause: f.Cause, Class: classOf(f.Cause), Rule: f.Rule, Detail: f.Detail, Reporter: f.Reporter, At: stamp(f.At)}
}

// event is a fact about a message or a delivery.
type event struct {
	ID         string            `json:"id"`
	MessageID  string            `json:"message_id"`
	DeliveryID string            `json:"delivery_id,omitempty"`
	Type       waypost.EventType `json:"type"`
	From       waypost.State     `json:"from,omitempty" doc:"The status before, if it changed."`
	To         waypost.State     `json:"to,omitempty" doc:"The status after."`
	Count      int               `json:"count" doc:"Deliveries concerned."`
	Attempt    int               `json:"attempt,omitempty"`
	Actor      string            `json:"actor,omitempty" doc:"Who asked for it."`
	Detail     string            `json:"detail,omitempty"`
	At         string            `json:"at" format:"date-time"`
}

func showEvent(e waypost.Event) event {
	return event{
		ID: e.ID, MessageID: e.MessageID, DeliveryID: e.DeliveryID, Type: e.Type, From: e.From, To: e.To, Count: e.Count,
		Attempt: e.Attempt, Actor: e.Actor, Detail: e.Detail, At: stamp(e.At),
	}
}

// deliveryDetail is a delivery with its attempts and what was reported about it.
type deliveryDetail struct {
	Delivery
	Attempts []attempt  `json:"attempts" nullable:"false"`
	Feedback []feedback `json:"feedback" nullable:"false" doc:"Late bounces and complaints: at most one of each."`
}

// messageDetail is a message with all that happened to it.
type messageDetail struct {
	Message
	Messages   []Message        `json:"messages,omitempty" nullable:"false" doc:"All messages of the batch, if id is a batch's; the other fields then are those of the first."`
	Deliveries []deliveryDetail `json:"deliveries" nullable:"false"`
	Events     []event          `json:"events" nullable:"false"`
}

// ByID is the id in a path.
type ByID struct {
	ID string `path:"id" maxLength:"100"`
}

func (s *server) getMessage(ctx context.Context, c *caller, in *ByID) (*answer[messageDetail], error) {
	found, err := s.Store.Message(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	out := messageDetail{Message: showMessage(&found.Messages[0]), Deliveries: []deliveryDetail{}, Events: []event{}}
	if out.ID != in.ID {
		out.ID = in.ID
		for i := range found.Messages {
			out.Messages = append(out.Messages, showMessage(&found.Messages[i]))
		}
	}
	attempts, reports := map[string][]attempt{}, map[string][]feedback{}
	for i := range found.Messages {
		id := found.Messages[i].ID
		tried, err := s.Store.Attempts(ctx, c.operator(), id)
		if err != nil {
			return nil, err
		}
		for _, a := range tried {
			attempts[a.DeliveryID] = append(attempts[a.DeliveryID], showAttempt(a))
		}
		reported, err := s.Store.Feedback(ctx, c.operator(), id)
		if err != nil {
			return nil, err
		}
		for _, f := range reported {
			reports[f.DeliveryID] = append(reports[f.DeliveryID], showFeedback(f))
		}
		events, err := s.Store.Events(ctx, c.operator(), id)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, items(events, showEvent)...)
	}
	for i := range found.Deliveries {
		d := deliveryDetail{Delivery: s.showDelivery(c, &found.Deliveries[i]), Attempts: []attempt{}, Feedback: []feedback{}}
		d.Attempts = append(d.Attempts, attempts[d.ID]...)
		d.Feedback = append(d.Feedback, reports[d.ID]...)
		out.Deliveries = append(out.Deliveries, d)
	}
	return &answer[messageDetail]{out}, nil
}

func (s *server) getMessageRaw(ctx context.Context, c *caller, in *ByID) (*huma.StreamResponse, error) {
	size, err := s.Store.ContentSize(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.remember(ctx, c, size); err != nil {
		return nil, err
	}
	header, body, err := s.Store.Content(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	return download(c, in.ID, header, body), nil
}

// remember waits for the memory that a stored mail takes, before it is read. Under a key of
// the platform each operator it acts for has turns of its own: many people may stand behind
// it.
func (s *server) remember(ctx context.Context, c *caller, size int64) (err error) {
	c.memory, err = s.Memory.Take(ctx, web.Claim{
		Person: c.principal.CredentialID + " " + c.operator(), Operator: c.operator(), Size: size, Times: web.AsItIs,
	})
	return err
}

// download answers with a mail in parts.
func download(c *caller, id string, parts ...[]byte) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", mediaMail)
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+id+`.eml"`) // an id that was found has no quotes
		_, w := humago.Unwrap(ctx)
		_ = c.memory.Send(w, parts...) // a client that is gone reads nothing
	}}
}

func (s *server) getConservation(ctx context.Context, c *caller, _ *struct{}) (*answer[store.Conservation], error) {
	found, err := s.Store.Conservation(ctx, c.operator())
	return &answer[store.Conservation]{found}, err
}
