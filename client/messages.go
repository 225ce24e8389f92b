package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Address is a mailbox.
type Address struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

// Attachment is a file in a mail.
type Attachment struct {
	Name      string `json:"name"`
	Type      string `json:"type,omitempty"` // media type; guessed from the name if empty
	Content   []byte `json:"content"`
	Inline    bool   `json:"inline,omitempty"`
	ContentID string `json:"content_id,omitempty"`
}

// NewMessage is a mail to hand over. Text, HTML or both are required, and a recipient.
type NewMessage struct {
	To          []Address         `json:"to,omitempty"`
	Cc          []Address         `json:"cc,omitempty"`
	Bcc         []Address         `json:"bcc,omitempty"`
	From        *Address          `json:"from,omitempty"` // nil: the operator's default sender
	ReplyTo     *Address          `json:"reply_to,omitempty"`
	Subject     string            `json:"subject,omitempty"`
	Text        string            `json:"text,omitempty"`
	HTML        string            `json:"html,omitempty"`
	Attachments []Attachment      `json:"attachments,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Kind        string            `json:"kind,omitempty"` // event, report, balance, security, other
	Lane        string            `json:"lane,omitempty"` // alarm, transactional, report, bulk
	SendAt      time.Time         `json:"send_at,omitzero"`
	ExpiresAt   time.Time         `json:"expires_at,omitzero"`
	Tags        []string          `json:"tags,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Unsubscribe *bool             `json:"unsubscribe,omitempty"` // whether its recipient may unsubscribe with one click; nil: as usual for its kind

	// IdempotencyKey makes the server accept this mail once, however often it is sent.
	// Only then does the client repeat it (Client.Retries).
	IdempotencyKey string `json:"-"`
}

// Receipt says that a mail is stored and will be delivered.
type Receipt struct {
	ID         string            `json:"id"` // the message's; the batch's if it was split
	Deliveries []ReceiptDelivery `json:"deliveries"`
	Replayed   bool              `json:"-"` // it was accepted before, with the same idempotency key
}

// ReceiptDelivery is one recipient in a receipt.
type ReceiptDelivery struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	To        string `json:"to"`
	Status    string `json:"status"` // queued or suppressed
	Reason    string `json:"reason"` // of one that is suppressed
}

// Message is a mail without its content.
type Message struct {
	ID        string            `json:"id"`
	BatchID   string            `json:"batch_id"`
	Kind      string            `json:"kind"`
	Lane      string            `json:"lane"`
	Source    string            `json:"source"` // smtp, api, panel, test, notice, forward
	Test      bool              `json:"test"`
	From      Address           `json:"from"`
	Subject   string            `json:"subject"` // "" for kind security
	HeaderID  string            `json:"header_id"`
	Size      int64             `json:"size"`
	Tags      []string          `json:"tags"`
	Metadata  map[string]string `json:"metadata"`
	CreatedAt time.Time         `json:"created_at"`
	SendAt    time.Time         `json:"send_at"`
	ExpiresAt time.Time         `json:"expires_at"`
	ErasedAt  time.Time         `json:"erased_at"` // zero while the content is kept
}

// MessageItem is a message in a list.
type MessageItem struct {
	Message
	Recipients int            `json:"recipients"`
	To         string         `json:"to"` // one of them
	Statuses   map[string]int `json:"statuses"`
}

// Delivery is one recipient of a message.
type Delivery struct {
	ID        string     `json:"id"`
	MessageID string     `json:"message_id"`
	To        string     `json:"to"`
	Status    string     `json:"status"` // queued, delivered, bounced, expired, cancelled, suppressed, uncertain
	Held      bool       `json:"held"`
	Waiting   string     `json:"waiting"` // what a queued one waits for
	Reason    string     `json:"reason"`
	Cause     string     `json:"cause"`
	Class     string     `json:"class"` // what the cause is counted as
	Advice    string     `json:"advice"`
	Kind      string     `json:"kind"`
	Lane      string     `json:"lane"`
	Route     string     `json:"route"`
	Tries     int        `json:"tries"`
	NextAt    time.Time  `json:"next_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	Attempts  []Attempt  `json:"attempts"` // with Client.Message only
	Feedback  []Feedback `json:"feedback"` // with Client.Message only: late bounces and complaints
	Pending   bool       `json:"pending"`  // after a control action: it takes effect before the next step
}

// Attempt is one try of a delivery.
type Attempt struct {
	Number    int       `json:"number"`
	Route     string    `json:"route"`
	Host      string    `json:"host"`
	Address   string    `json:"address"`
	TLS       string    `json:"tls"`
	Phase     string    `json:"phase"`
	Outcome   string    `json:"outcome"`
	Cause     string    `json:"cause"`
	Class     string    `json:"class"` // what the cause is counted as
	Rule      string    `json:"rule"`  // that named the cause
	Reply     Reply     `json:"reply"`
	StartedAt time.Time `json:"started_at"`
	TookMS    int64     `json:"took_ms"`
}

// Feedback is what was reported about a delivery after it had left.
type Feedback struct {
	Sort     string    `json:"sort"` // bounce, complaint
	Cause    string    `json:"cause"`
	Class    string    `json:"class"`
	Rule     string    `json:"rule"`
	Detail   string    `json:"detail"`   // the reporter's own words
	Reporter string    `json:"reporter"` // as it calls itself, and its address
	At       time.Time `json:"at"`
}

// Reply is what an SMTP server said.
type Reply struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced"`
	Text     string `json:"text"`
}

// Event is a fact about a message or a delivery.
type Event struct {
	ID         string    `json:"id"`
	MessageID  string    `json:"message_id"`
	DeliveryID string    `json:"delivery_id"`
	Type       string    `json:"type"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Count      int       `json:"count"`
	Attempt    int       `json:"attempt"`
	Actor      string    `json:"actor"`
	Detail     string    `json:"detail"`
	At         time.Time `json:"at"`
}

// MessageDetail is a message, or a batch, with all that happened to it.
type MessageDetail struct {
	Message
	Messages   []Message  `json:"messages"` // of a batch
	Deliveries []Delivery `json:"deliveries"`
	Events     []Event    `json:"events"`
}

// Send hands over a mail. When it returns a receipt, the mail is safely stored.
func (c *Client) Send(ctx context.Context, m NewMessage) (Receipt, error) {
	r := call{method: http.MethodPost, path: "/v1/messages", header: http.Header{}, body: m}
	if m.IdempotencyKey != "" {
		r.header.Set("Idempotency-Key", m.IdempotencyKey)
		r.repeat = true
	}
	var out Receipt
	header, err := c.do(ctx, r, &out)
	out.Replayed = header.Get("Idempotent-Replayed") == "true"
	return out, err
}

// MessageFilter picks messages; zero fields do not matter.
type MessageFilter struct {
	Recipient string // address, "beginning*" or "@domain"
	Subject   string // words
	Kind      string
	Status    string
	Tag       string
	BatchID   string
	From, To  time.Time
	Cursor    string
	Limit     int
}

func (f MessageFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"recipient": f.Recipient, "subject": f.Subject, "kind": f.Kind, "status": f.Status, "tag": f.Tag,
		"batch_id": f.BatchID, "cursor": f.Cursor,
	} {
		set(q, name, value)
	}
	setTime(q, "from", f.From)
	setTime(q, "to", f.To)
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// MessagePage is a page of messages. With Truncated the search stopped at its bound
// before the page was full; Next goes on there.
type MessagePage struct {
	Page[MessageItem]
	Truncated bool `json:"truncated"`
}

// MessagePage returns one page of messages, newest first.
func (c *Client) MessagePage(ctx context.Context, f MessageFilter) (MessagePage, error) {
	var out MessagePage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/messages", query: f.query(), repeat: true}, &out)
	return out, err
}

// Messages goes through all messages, newest first, asking for pages as it needs them.
func (c *Client) Messages(ctx context.Context, f MessageFilter) iter.Seq2[MessageItem, error] {
	return all(f.query(), func(q url.Values) ([]MessageItem, string, error) {
		var page MessagePage
		_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/messages", query: q, repeat: true}, &page)
		return page.Items, page.Next, err
	})
}

// Message shows a message or a batch with all that happened to it.
func (c *Client) Message(ctx context.Context, id string) (MessageDetail, error) {
	var out MessageDetail
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/messages/" + url.PathEscape(id), repeat: true}, &out)
	return out, err
}

// MessageRaw downloads a message (message/rfc822).
func (c *Client) MessageRaw(ctx context.Context, id string) ([]byte, error) {
	return c.raw(ctx, "/v1/messages/"+url.PathEscape(id)+"/raw")
}

// Retry tries a delivery now.
func (c *Client) Retry(ctx context.Context, deliveryID string) (Delivery, error) {
	return c.control(ctx, deliveryID, "retry")
}

// Cancel stops a delivery for good.
func (c *Client) Cancel(ctx context.Context, deliveryID string) (Delivery, error) {
	return c.control(ctx, deliveryID, "cancel")
}

// Hold makes a delivery wait until it is released.
func (c *Client) Hold(ctx context.Context, deliveryID string) (Delivery, error) {
	return c.control(ctx, deliveryID, "hold")
}

// Release ends a hold.
func (c *Client) Release(ctx context.Context, deliveryID string) (Delivery, error) {
	return c.control(ctx, deliveryID, "release")
}

// Controlled counts what became of an action on all deliveries of a message.
type Controlled struct {
	Done    int `json:"done"`
	Pending int `json:"pending"` // being tried right now: it takes effect before the next step, or not at all
	Refused int `json:"refused"` // their state does not allow it
}

// ControlMessage applies retry, cancel, hold or release to every delivery of a message
// whose state allows it.
func (c *Client) ControlMessage(ctx context.Context, messageID, action string) (Controlled, error) {
	var out Controlled
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/messages/" + url.PathEscape(messageID) + "/" + url.PathEscape(action)}, &out)
	return out, err
}

func (c *Client) control(ctx context.Context, id, action string) (Delivery, error) {
	var out Delivery
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/deliveries/" + url.PathEscape(id) + "/" + action}, &out)
	return out, err
}

// Conservation counts what became of every delivery ever accepted.
type Conservation struct {
	Accepted   int64 `json:"accepted"`
	Delivered  int64 `json:"delivered"`
	Bounced    int64 `json:"bounced"`
	Expired    int64 `json:"expired"`
	Cancelled  int64 `json:"cancelled"`
	Suppressed int64 `json:"suppressed"`
	Uncertain  int64 `json:"uncertain"`
	Queued     int64 `json:"queued"`
	Balanced   bool  `json:"balanced"` // accepted is the sum of the others
}

// Conservation reads the counters.
func (c *Client) Conservation(ctx context.Context) (Conservation, error) {
	var out Conservation
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/conservation", repeat: true}, &out)
	return out, err
}

// SandboxMail is a mail in the sandbox.
type SandboxMail struct {
	ID         string    `json:"id"`
	MessageID  string    `json:"message_id"`
	DeliveryID string    `json:"delivery_id"`
	Kind       string    `json:"kind"`
	MailFrom   string    `json:"mail_from"`
	To         string    `json:"to"`
	Subject    string    `json:"subject"`
	Size       int64     `json:"size"`
	CreatedAt  time.Time `json:"created_at"`
}

// Sandbox goes through the sandbox, newest first.
func (c *Client) Sandbox(ctx context.Context) iter.Seq2[SandboxMail, error] {
	return list[SandboxMail](ctx, c, "/v1/sandbox/messages", url.Values{})
}

// SandboxMail shows a mail in the sandbox.
func (c *Client) SandboxMail(ctx context.Context, id string) (SandboxMail, error) {
	var out SandboxMail
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/sandbox/messages/" + url.PathEscape(id), repeat: true}, &out)
	return out, err
}

// SandboxRaw downloads a mail from the sandbox (message/rfc822).
func (c *Client) SandboxRaw(ctx context.Context, id string) ([]byte, error) {
	return c.raw(ctx, "/v1/sandbox/messages/"+url.PathEscape(id)+"/raw")
}

// EmptySandbox removes what Sandbox lists, but for kind security, and returns how many
// there were.
func (c *Client) EmptySandbox(ctx context.Context) (int64, error) {
	var out struct {
		Removed int64 `json:"removed"`
	}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/sandbox/messages"}, &out)
	return out.Removed, err
}
