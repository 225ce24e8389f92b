package view_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel/view"
)

// search is the form above a list of messages.
func search(value string) view.MessageSearch {
	f := func(name string) view.Field {
		return view.Field{Name: name, Label: name, Value: value, Options: []view.Option{{Label: "All"}, {Value: "x", Label: "X"}}}
	}
	return view.MessageSearch{
		Recipient: f("recipient"), Subject: f("subject"), Kind: f("kind"), State: f("state"), Period: f("period"), From: f("from"), To: f("to"), Tag: f("tag"),
		Batch: value, Active: value != "",
	}
}

func TestTheListOfMessages(t *testing.T) {
	p := frame(t)
	golden(t, "messages-empty", view.MessagesPage(p, view.Messages{Search: search(""), CSV: "/messages.csv"}))
	golden(t, "messages-none", view.MessagesPage(p, view.Messages{
		Search: search("x"), CSV: "/messages.csv?x", Notes: []string{"Searched back to then."}, Continue: "/messages?cursor=1", First: "/messages",
	}))
	golden(t, "messages-full", view.MessagesPage(p, view.Messages{
		Search: search(hostile), CSV: "/messages.csv?" + hostile, First: "/messages", Continue: "/messages?cursor=1", Rows: []view.MessageRow{
			{Path: "/messages/1", At: "Mar 4", To: hostile, More: "and 2 more", Subject: hostile, Kind: hostile, Test: true, Why: hostile, States: []view.State{
				{State: "queued", Label: "Queued 2"}, {State: "bounced", Label: hostile},
			}},
			{Path: "/messages/2", At: "Mar 4", To: strings.Repeat("x", 10000), Subject: "(no subject)", Plain: true, Kind: "Other"},
		},
	}))
}

// aMail is a mail with everything in it.
func aMail() view.Mail {
	return view.Mail{
		Tabs:  []view.Tab{{Label: "Formatted", Path: "/messages/1?view=html", Current: true}, {Label: hostile, Path: "/messages/1?view=text"}},
		Frame: "/messages/1/preview?view=html", Notes: []string{hostile}, Raw: "/messages/1/raw",
		Files: []view.MailFile{{Name: hostile, Type: hostile, Size: "1 KiB", Path: "/messages/1/files/0"}},
	}
}

func TestThePageOfAMessage(t *testing.T) {
	p := frame(t)
	content := aMail()
	waiting := view.Delivery{
		To: hostile, State: view.State{State: "queued", Label: "Queued"}, Open: true, Held: true, Short: hostile, Waiting: hostile, Words: hostile,
		Fix: "/settings/email", Expires: "Mar 7", Action: "/messages/1/deliveries/1", Actions: []view.Action{
			{Name: "retry", Label: "Try now", Class: "btn-primary"}, {Name: "cancel", Label: "Cancel", Ask: hostile},
		}, Steps: []view.TimelineStep{
			{When: "Mar 4", Class: "ok", Title: "Accepted", By: hostile},
			{When: "Mar 4", Class: "wait", Title: hostile, Reply: hostile, Advice: hostile, Facts: []view.Property{{Name: "Server", Value: hostile, Mono: true}}},
		},
	}
	done := view.Delivery{To: strings.Repeat("x", 10000), State: view.State{State: "delivered", Label: "Delivered"}}
	v := view.Message{
		Subject: hostile, Test: true, Problem: hostile, Facts: []view.Property{{Name: "From", Value: hostile}, {Name: "Batch", Value: "1", Mono: true, Path: "/messages?batch=1"}},
		Live: view.MessageLive{
			Path: "/messages/1/live?seen=1", States: []view.State{{State: "queued", Label: "Queued"}, {State: "delivered", Label: "Delivered"}}, Count: 2,
			Deliveries: []view.Delivery{waiting, done}, First: "/messages/1", Next: "/messages/1?after=2",
		},
		Mail: &content, Resend: &view.Resend{Path: "/messages/1/resend", Key: hostile, Open: true, To: view.Field{Name: "to", Label: "To", Value: hostile, Error: hostile}},
	}
	golden(t, "message-full", view.MessagePage(p, v))
	v.Mail.Frame, v.Mail.Source = "", hostile
	golden(t, "message-source", view.MessagePage(p, v))
	golden(t, "message-hidden", view.MessagePage(p, view.Message{
		Subject: "(security mail)", NoContent: "It is shown to nobody.", Live: view.MessageLive{Count: 1, Deliveries: []view.Delivery{done}},
	}))
	v.Live.Path = ""
	golden(t, "message-live", view.MessageLivePart(p, v.Live))
}

func TestTheListOfSuppressions(t *testing.T) {
	p := frame(t)
	v := view.Suppressions{
		Address: view.Field{Name: "find", Label: "Address"}, Reason: view.Field{Name: "reason", Label: "Reason"}, Add: view.SuppressionForm{
			Address: view.Field{Name: "address", Label: "Address", Value: hostile, Error: hostile}, Detail: view.Field{Name: "detail", Label: "Note", Value: hostile},
			Kind: view.Field{Name: "of_kind", Label: "Mail"}, Expires: view.Field{Name: "expires", Label: "Until"},
		},
		Kind: view.Field{Name: "kind", Label: "Mail"}, Import: view.SuppressionImport{
			CSV: "/suppressions.csv", File: view.Field{Name: "file", Label: "File", Type: "file"}, List: view.Field{Name: "list", Label: "List", Value: hostile},
			Reason: view.Field{Name: "row_reason", Label: "Reason"},
		},
	}
	golden(t, "suppressions-empty", view.SuppressionsPage(p, v))
	v.Active = true
	golden(t, "suppressions-none", view.SuppressionsPage(p, v))
	v.Write, v.Open, v.Next, v.Rows = true, true, "/suppressions?cursor=1", []view.Suppression{
		{Address: hostile, Reason: "hard_bounce", Label: "Does not exist", Detail: hostile, At: "Mar 4", Expires: "Mar 5", Ask: hostile},
		{Address: strings.Repeat("x", 10000), Reason: "manual", Label: "By hand", At: "Mar 4", Expires: "for ever"},
		{Address: "a@b.example", Reason: "unsubscribe", Label: "Unsubscribed", Kind: "event", KindLabel: hostile, Via: hostile, Message: "/messages/1", At: "Mar 4", Expires: "Mar 5"},
	}
	golden(t, "suppressions-full", view.SuppressionsPage(p, v))
	v.Rows, v.Import.Open, v.Import.CSV = nil, true, "/suppressions.csv?kind=event"
	v.Import.Report = &view.ImportReport{Try: true, Again: true, Text: "Added: 3.", Rows: []view.ImportProblem{{Line: "2", Text: hostile, Why: "Not an e-mail address"}}, More: "Further refused rows: 7."}
	golden(t, "suppressions-import", view.SuppressionsPage(p, v))
}

func TestThePagesBehindALinkToUnsubscribe(t *testing.T) {
	p := frame(t)
	p.Title = hostile
	golden(t, "optout-ask", view.OptOutDocument(p, view.OptOut{Operator: hostile, Text: hostile, Action: "/u/abc"}))
	golden(t, "optout-done", view.OptOutDocument(p, view.OptOut{Operator: "Acme", Text: "You are unsubscribed.", Back: "/u/abc/back", Test: "A test."}))
	golden(t, "optout-bad", view.OptOutDocument(p, view.OptOut{Text: "This link does not work."}))
}

func TestTheMailboxes(t *testing.T) {
	p := frame(t)
	golden(t, "mailbox-empty", view.MailboxPage(p, view.Mailbox{Base: "/mailbox", Live: true}))
	golden(t, "mailbox-platform-empty", view.MailboxPage(p, view.Mailbox{Base: "/platform/mailbox", Platform: true}))
	golden(t, "mailbox-full", view.MailboxPage(p, view.Mailbox{
		Base: "/platform/mailbox", Platform: true, Chosen: hostile, Operator: hostile, Empties: true, First: "/platform/mailbox", Rows: []view.BoxedRow{
			{Path: "/platform/mailbox/1", At: "Mar 4", From: hostile, To: hostile, Subject: hostile, Size: "1 B", Operator: hostile, OperatorPath: "/platform/mailbox?operator=1"},
			{Path: "/platform/mailbox/2", At: "Mar 4", To: strings.Repeat("x", 10000), Subject: "(no subject)", Plain: true},
		},
	}))
	golden(t, "mailbox-mail", view.BoxedPage(p, view.Boxed{
		Base: "/mailbox", Subject: hostile, Facts: []view.Property{{Name: "From", Value: hostile}}, Message: "/messages/1", Mail: aMail(),
	}))
}
