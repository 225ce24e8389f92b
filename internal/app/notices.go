package app

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

// notices are the mails that we write ourselves. They go to an operator's contact by
// the platform's route, through the one accept pipeline, so they are queued, retried
// and counted like any other.
type notices struct{ app *App }

// noticePeriod is how long one notice of a kind to an operator has to do.
const noticePeriod = 6 * time.Hour

// relayFailing tells an operator that its SMTP server refuses us or is out of reach.
func (n *notices) relayFailing(a *waypost.Account, reason string) {
	host := ""
	if a.Relay != nil {
		host = a.Relay.Host
	}
	n.send(a, "relay-failing", "Your SMTP server "+host+" does not take our mail", fmt.Sprintf(
		"Hello %s,\r\n\r\n"+
			"your e-mail goes out through your own SMTP server %s, and this server refuses it now or cannot be\r\n"+
			"reached from here. What it said, or what went wrong:\r\n\r\n"+
			"    %s\r\n\r\n"+
			"Your mail is not lost: it waits and is sent as soon as the server accepts it again, at most until each\r\n"+
			"mail expires. We keep trying, a few times an hour.\r\n\r\n"+
			"What to do: check that the server runs, check host, port, user name, password and sender address in the\r\n"+
			"e-mail settings and send a test mail, or ask the provider of the server, or choose another gateway.\r\n",
		a.Name, host, reason))
}

// send submits a notice.
func (n *notices) send(a *waypost.Account, kind, subject, text string) {
	if err := n.submit(a, kind, subject, text); err != nil {
		n.app.Log.Error("cannot send a notice", "notice", kind, "operator", a.ID, "error", err)
	}
}

// from is who writes.
func (n *notices) from() waypost.Address {
	from := n.app.Platform.From
	if from.Email == "" {
		from.Email = "no-reply@" + n.app.Config.Hostname
	}
	return from
}

// submit submits a notice, once in a period: the idempotency key makes it so across nodes
// and restarts. Without a contact there is nobody to tell.
func (n *notices) submit(a *waypost.Account, kind, subject, text string) error {
	if a.Contact == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	now := time.Now()
	from := n.from()
	header, body, err := message.Compose(message.Composition{
		From: from, To: []waypost.Address{{Email: a.Contact}}, Subject: subject, Text: text, Date: now,
		MessageID: "<" + waypost.NewID() + "@" + waypost.DomainOf(from.Email) + ">",
		Headers:   map[string]string{"Auto-Submitted": "auto-generated"}, // RFC 3834: nobody should answer it
	})
	if err != nil {
		return fmt.Errorf("write it: %w", err)
	}
	_, err = n.app.Submit.Accept(ctx, waypost.Submission{
		Principal:  waypost.Principal{OperatorID: waypost.PlatformOperatorID, Scopes: []waypost.Scope{waypost.ScopeSend}},
		OperatorID: waypost.PlatformOperatorID, Source: "notice", Protocol: "internal",
		Recipients: []string{a.Contact}, Message: append(header, body...), Kind: waypost.KindOther,
		IdempotencyKey: fmt.Sprintf("notice/%s/%s/%d", kind, a.ID, now.Unix()/int64(noticePeriod.Seconds())),
		BodySHA256:     []byte("notice"), // whatever it says: one in a period
	})
	return err
}
