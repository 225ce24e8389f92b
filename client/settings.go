package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Settings are an operator's e-mail settings. What is saved is Gateway, From, ReplyTo
// and Signature; the rest is shown only.
type Settings struct {
	Gateway   *Gateway  `json:"gateway"`        // nil: none
	From      string    `json:"from,omitempty"` // "Name <address>"; "" keeps the default sender
	ReplyTo   string    `json:"reply_to,omitempty"`
	Signature Signature `json:"signature"`

	SMTP        *Gateway     `json:"smtp,omitempty"` // the own server, in use or not
	Allowed     []string     `json:"allowed,omitempty"`
	FromInUse   *FromInUse   `json:"from_in_use,omitempty"`
	RelayHealth *RelayHealth `json:"relay_health,omitempty"` // set while the own server is failing
	Warnings    []string     `json:"warnings,omitempty"`
}

// Gateway is how mail leaves: "builtin", or "smtp" with the operator's own server. Type
// smtp alone means the server that is saved.
type Gateway struct {
	Type     string `json:"type"`
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port,omitempty"`     // 0: 25, 587 or 465, by security
	Security string `json:"security,omitempty"` // none, starttls, tls
	TrustAll bool   `json:"trust_all,omitempty"`
	Auth     *Login `json:"auth,omitempty"` // nil: no login
}

// Login is a login at the own server. A password is never shown; an empty one means the
// saved one.
type Login struct {
	Username    string `json:"username"`
	Password    string `json:"password,omitempty"`
	PasswordSet bool   `json:"password_set,omitempty"`
}

// Signature is appended to every mail.
type Signature struct {
	Text string `json:"text"`
	HTML string `json:"html"`
}

// FromInUse is the From that mail leaves with, and why it is not the default sender.
type FromInUse struct {
	Address string `json:"address"`
	Name    string `json:"name"`
	Reason  string `json:"reason"`
}

// RelayHealth tells of an own server that is failing.
type RelayHealth struct {
	FailingSince time.Time `json:"failing_since"`
	Reason       string    `json:"reason"`
	NextProbe    time.Time `json:"next_probe"`
}

// Settings reads the e-mail settings.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	var out Settings
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/settings/email", repeat: true}, &out)
	return out, err
}

// SaveSettings saves the e-mail settings, all or nothing, and returns what is saved.
func (c *Client) SaveSettings(ctx context.Context, s Settings) (Settings, error) {
	var out Settings
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/settings/email", body: s, repeat: true}, &out)
	return out, err
}

// TestResult is what is known of a test mail.
type TestResult struct {
	ID     string  `json:"id"`
	Done   bool    `json:"done"`
	Status string  `json:"status"`
	Reply  string  `json:"reply"`
	Cause  string  `json:"cause"`
	Advice string  `json:"advice"`
	Stages []Stage `json:"stages"`

	Received *Received `json:"received"` // of VerifySettings, once it has arrived
}

// Received is what a receiver makes of a test mail.
type Received struct {
	From   string `json:"from"`
	Peer   string `json:"peer"`
	TLS    string `json:"tls"`
	Size   int    `json:"size"`
	TookMS int64  `json:"took_ms"`
	SPF    struct {
		Result  string `json:"result"`
		Domain  string `json:"domain"`
		Aligned bool   `json:"aligned"`
	} `json:"spf"`
	DKIM []struct {
		Result   string `json:"result"`
		Domain   string `json:"domain"`
		Selector string `json:"selector"`
		Aligned  bool   `json:"aligned"`
		Reason   string `json:"reason"`
	} `json:"dkim"`
	DMARC struct {
		Result string `json:"result"`
		Domain string `json:"domain"`
		Policy string `json:"policy"`
	} `json:"dmarc"`
	Results  string   `json:"authentication_results"`
	Problems []string `json:"problems"`
}

// Stage is one step of a test mail.
type Stage struct {
	Phase     string    `json:"phase"`
	StartedAt time.Time `json:"started_at"`
	TookMS    int64     `json:"took_ms"`
	OK        bool      `json:"ok"`
	Detail    string    `json:"detail"`
	Reply     string    `json:"reply"`
}

// TestSettings sends a test mail over settings that need not be saved; nil tests the
// saved ones. It returns when the mail is done, or after a minute.
func (c *Client) TestSettings(ctx context.Context, to string, s *Settings) (TestResult, error) {
	var out TestResult
	body := struct {
		To       string    `json:"to"`
		Settings *Settings `json:"settings,omitempty"`
	}{to, s}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/settings/email/test", body: body}, &out)
	return out, err
}

// VerifySettings sends a test mail to the server itself, which receives it as a
// stranger's would and says what SPF, DKIM and DMARC make of it.
func (c *Client) VerifySettings(ctx context.Context) (TestResult, error) {
	var out TestResult
	body := map[string]bool{"verify": true}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/settings/email/test", body: body}, &out)
	return out, err
}

// Test shows a test mail.
func (c *Client) Test(ctx context.Context, id string) (TestResult, error) {
	var out TestResult
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/settings/email/test/" + url.PathEscape(id), repeat: true}, &out)
	return out, err
}

// Sender is a From address of the operator.
type Sender struct {
	ID        string    `json:"id"`
	Address   string    `json:"address"`
	Name      string    `json:"name"`
	State     string    `json:"state"`  // requested, assigned, rejected
	Reason    string    `json:"reason"` // why it was rejected
	Default   bool      `json:"default"`
	CreatedAt time.Time `json:"created_at"`
	DecidedAt time.Time `json:"decided_at"` // when it was assigned or rejected, zero before
}

// Senders lists the senders.
func (c *Client) Senders(ctx context.Context) ([]Sender, error) {
	var out Page[Sender]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/senders", repeat: true}, &out)
	return out.Items, err
}

// AddSender adds a sender: an address, or *@domain for any address there.
func (c *Client) AddSender(ctx context.Context, address, name string, makeDefault bool) (Sender, error) {
	var out Sender
	body := struct {
		Address string `json:"address"`
		Name    string `json:"name,omitempty"`
		Default bool   `json:"default,omitempty"`
	}{address, name, makeDefault}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/senders", body: body}, &out)
	return out, err
}

// RemoveSender removes a sender.
func (c *Client) RemoveSender(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/senders/" + url.PathEscape(id)}, nil)
	return err
}

// Suppression is an address that the operator must not mail.
type Suppression struct {
	Address   string    `json:"address"`
	Reason    string    `json:"reason"` // manual, hard_bounce, soft_bounce, complaint, unsubscribe
	Kind      string    `json:"kind"`   // "" for mail of every kind
	Detail    string    `json:"detail"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"` // zero: never
	Hits      int       `json:"hits"`       // how often it was found
	MessageID string    `json:"message_id"` // the message that showed it last, "" for none
	Via       string    `json:"via"`        // how it came about: mail, one_click, page, api, panel, import, command
}

// NewSuppression is an address to suppress.
type NewSuppression struct {
	Address   string    `json:"address"`
	Kind      string    `json:"kind,omitempty"` // "" for mail of every kind
	Detail    string    `json:"detail,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
}

// SuppressionFilter picks suppressions; zero fields do not matter.
type SuppressionFilter struct {
	Address string // an address, "beginning*" or "@domain"
	Reason  string
	Kind    string // "all" for those of mail of every kind
}

func (f SuppressionFilter) values() url.Values {
	q := url.Values{}
	set(q, "address", f.Address)
	set(q, "reason", f.Reason)
	set(q, "kind", f.Kind)
	return q
}

// Suppressions goes through the suppressions by address.
func (c *Client) Suppressions(ctx context.Context, f SuppressionFilter) iter.Seq2[Suppression, error] {
	return list[Suppression](ctx, c, "/v1/suppressions", f.values())
}

// Suppress adds an address.
func (c *Client) Suppress(ctx context.Context, n NewSuppression) (Suppression, error) {
	var out Suppression
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/suppressions", body: n, repeat: true}, &out)
	return out, err
}

// Unsuppress removes the entries of the filter's address, an exact one, that have its
// reason and kind.
func (c *Client) Unsuppress(ctx context.Context, f SuppressionFilter) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/suppressions", query: f.values()}, nil)
	return err
}

// ExemptAddress is one that no bounce and no complaint suppresses.
type ExemptAddress struct {
	Address string `json:"address"`
}

// Exempt goes through the exempt addresses.
func (c *Client) Exempt(ctx context.Context) iter.Seq2[ExemptAddress, error] {
	return list[ExemptAddress](ctx, c, "/v1/suppressions/exempt", url.Values{})
}

// AddExempt exempts an address from being suppressed by what happens to its mail.
func (c *Client) AddExempt(ctx context.Context, address string) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/suppressions/exempt", body: ExemptAddress{address}, repeat: true}, nil)
	return err
}

// RemoveExempt lets an address be suppressed again.
func (c *Client) RemoveExempt(ctx context.Context, address string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/suppressions/exempt", query: url.Values{"address": {address}}}, nil)
	return err
}

// ExportSuppressions downloads the suppressions that a filter picks as comma-separated
// values, which ImportSuppressions takes. The error is that of a file which is not whole, too.
func (c *Client) ExportSuppressions(ctx context.Context, f SuppressionFilter) ([]byte, error) {
	path := "/v1/suppressions/export"
	if q := f.values(); len(q) > 0 {
		path += "?" + q.Encode()
	}
	return c.raw(ctx, path)
}

// ImportReport is what became of a file of suppressions, in rows.
type ImportReport struct {
	DryRun    bool         `json:"dry_run"`
	Rows      int          `json:"rows"`
	Added     int          `json:"added"`
	Renewed   int          `json:"renewed"`   // there was an entry that had ended, or would have ended earlier
	Unchanged int          `json:"unchanged"` // there is an entry that lasts as long, or the same was in the file already
	Refused   int          `json:"refused"`
	Problems  []RowProblem `json:"problems"` // why rows are refused, the first 1,000 of them
}

// RowProblem says why a row of a file is refused.
type RowProblem struct {
	Line    int    `json:"line"` // where it begins, from 1
	Text    string `json:"text"` // what is wrong in it
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ImportSuppressions imports a file of suppressions; reason is that of rows that say none,
// "" for manual. With try nothing is changed. Good rows are kept and others refused.
func (c *Client) ImportSuppressions(ctx context.Context, file []byte, reason string, try bool) (ImportReport, error) {
	q := url.Values{}
	set(q, "reason", reason)
	if try {
		q.Set("dry_run", "true")
	}
	var out ImportReport
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/suppressions/import", query: q, file: file, fileType: "text/csv", repeat: true}, &out)
	return out, err
}
