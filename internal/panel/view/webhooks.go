package view

// Webhooks is the list of an operator's webhooks.
type Webhooks struct {
	Rows  []WebhookRow
	Write bool
	Full  bool // no more can be added
}

// WebhookRow is one of them.
type WebhookRow struct {
	ID, URL, Description, Told string
	State, Label               string
	Why                        string // what the last failure was, "" for none
}

// WebhookForm are the fields of a webhook.
type WebhookForm struct {
	URL, Description, All, Types, Most Field
	Problem                            string
}

// WebhookSecret is a secret that was just made, shown once.
type WebhookSecret struct {
	ID, URL, Secret string
	OldUntil        string // until when the one before signs too, "" for a new webhook
}

// Webhook is one webhook with its log.
type Webhook struct {
	ID, URL      string
	State, Label string
	Enabled      bool
	Write        bool
	Alert        *WebhookAlert
	Facts        []Property
	Form         WebhookForm
	Test         *WebhookTested // what came of a test just made

	From, To Field // of a replay
	Replays  []WebhookReplayRow

	Filter      Field
	Filtered    bool
	Calls       []WebhookCallRow
	First, Next string
}

// WebhookAlert is what is wrong.
type WebhookAlert struct{ Title, Text, Words string }

// WebhookTested is the answer to a test.
type WebhookTested struct {
	OK                  bool
	Title, Text, Answer string
}

// WebhookReplayRow is a period that was told again.
type WebhookReplayRow struct{ From, To, Events, State, Label string }

// WebhookCallRow is a call in the log.
type WebhookCallRow struct {
	Path, At, Type, Events, State, Label, Tries, Last, NextAt string
	Replay                                                    bool
}

// WebhookCall is one call with what was sent and all its tries.
type WebhookCall struct {
	ID, WebhookID string
	Write         bool
	Problem       string
	Row           WebhookCallRow
	Body          string
	Resend        bool
	Attempts      []WebhookAttempt
}

// WebhookAttempt is one try.
type WebhookAttempt struct {
	Number, At, Text, Answer string
	OK                       bool
}

// failed reports whether something is wrong in the form.
func (f WebhookForm) failed() bool {
	return f.URL.Error+f.Description.Error+f.Types.Error+f.Most.Error != ""
}

func testAlert(ok bool) string {
	if ok {
		return "success"
	}
	return "danger"
}

func attemptBadge(ok bool) string {
	if ok {
		return "ok"
	}
	return "failing"
}

// enableLabel is the button that has an endpoint called again.
func (p Page) enableLabel(enabled bool) string {
	if enabled {
		return p.T("webhooks.now")
	}
	return p.T("webhooks.enable")
}
