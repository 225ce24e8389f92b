package message_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/message"
	"github.com/waypost/waypost/internal/waypost"
)

func accepting() message.AcceptEdit {
	return message.AcceptEdit{
		ID: "0190-1", MessageIDDomain: "mail.example",
		Now: time.Date(2026, 1, 31, 8, 0, 0, 0, time.FixedZone("", 3600)),
		Received: message.Received{
			HelloName: "tracker.example", Peer: "192.0.2.7:5123", By: "mx.example", Protocol: "ESMTPSA", ID: "0190-1",
		},
	}
}

func TestAcceptMakesTheEditsAndNoOther(t *testing.T) {
	h := parse(t, `Received: from old
 by older; x
DKIM-Signature: v=1; b=x
From: a@b.example
Sender: s@b.example
BCC : secret@b.example
Resent-Bcc: r@b.example
Return-Path: <p@b.example>
x-waypost-kind: event
X-Waypost-Lane: alarm
X-Waypost-Send-At: x
X-Waypost-Expires-At: x
X-Waypost-Tags: x
X-Waypost-Metadata: {}
X-Waypost-Operator: o
X-Waypost-Unsubscribe: yes
X-Waypost-Whatever: w
X-Waypost: kept, as it lacks the dash
Idempotency-Key: k
Message-ID: 
Subject: =?utf-8?q?x?=

`)
	id, err := h.Accept(accepting())
	if err != nil {
		t.Fatal(err)
	}
	want := crlf(`Received: from tracker.example ([192.0.2.7]) by mx.example with ESMTPSA id
 0190-1; Sat, 31 Jan 2026 07:00:00 +0000
Received: from old
 by older; x
DKIM-Signature: v=1; b=x
From: a@b.example
Sender: s@b.example
X-Waypost: kept, as it lacks the dash
Message-ID: <0190-1@mail.example>
Subject: =?utf-8?q?x?=
Date: Sat, 31 Jan 2026 07:00:00 +0000

`)
	if diff := cmp.Diff(want, string(h.Bytes())); diff != "" {
		t.Error(diff)
	}
	if id != "<0190-1@mail.example>" {
		t.Errorf("Message-ID %q", id)
	}
}

func TestAcceptAddsTheLinkToUnsubscribe(t *testing.T) {
	e := accepting()
	e.Unsubscribe = "https://mail.example/u/" + strings.Repeat("x", 300)
	h := parse(t, "From: a@b.example\n\n")
	if _, err := h.Accept(e); err != nil {
		t.Fatal(err)
	}
	// RFC 8058 sections 3.1 and 8.1: one https link, and exactly this pair.
	if h.Get("List-Unsubscribe") != "<"+e.Unsubscribe+">" || h.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" ||
		h.Count("List-Unsubscribe") != 1 || h.Count("List-Unsubscribe-Post") != 1 {
		t.Errorf("%s", h.Bytes())
	}
}

func TestAcceptKeepsWhatTheSenderWrote(t *testing.T) {
	h := parse(t, "From: a@b.example\nMessage-ID:\n <own@b.example>\nDate: yesterday\nReply-To: r@b.example\nMIME-Version: 1.0\n\n")
	e := accepting()
	e.ReplyTo = "op@example.com"
	e.Received = message.Received{}
	id, err := h.Accept(e)
	if err != nil || id != "<own@b.example>" {
		t.Fatalf("%q, %v", id, err)
	}
	want := crlf("Received: ; Sat, 31 Jan 2026 07:00:00 +0000\nFrom: a@b.example\nMessage-ID:\n <own@b.example>\nDate: yesterday\nReply-To: r@b.example\nMIME-Version: 1.0\n\n")
	if diff := cmp.Diff(want, string(h.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestAcceptReplacesFromAndDropsItsSender(t *testing.T) {
	h := parse(t, "from: Old\n <a@b.example>\nSender: a@b.example\nTo: x@y.example\n\n")
	e := accepting()
	e.From = &waypost.Address{Name: "Парк", Email: "no-reply@b.example"}
	e.ReplyTo = "Support, Парк <op@example.com>"
	if _, err := h.Accept(e); waypost.KindOf(err) != waypost.Invalid {
		t.Errorf("a bad reply address: %v", err)
	}
	e.ReplyTo = "Парк <op@example.com>"
	if _, err := h.Accept(e); err != nil {
		t.Fatal(err)
	}
	got, err := h.From()
	if err != nil || got != *e.From || h.Has("Sender") || h.Get("Reply-To") != "=?utf-8?b?0J/QsNGA0Lo=?= <op@example.com>" {
		t.Errorf("%s%v", h.Bytes(), err)
	}
}

func TestAcceptRefusesRoutingLoops(t *testing.T) {
	h := parse(t, "From: a@b.example\n"+strings.Repeat("Received: x; y\n", 50)+"\n")
	if _, err := h.Accept(accepting()); err != nil {
		t.Errorf("50: %v", err)
	}
	_, err := h.Accept(accepting())
	wantError(t, err, waypost.Invalid, "5.4.6")
}

// written is a trace field as the server itself writes it, with its folding.
func written(t *testing.T, r message.Received) string {
	t.Helper()
	h := parse(t, "From: a@b.example\n\n")
	e := accepting()
	e.Received = r
	if _, err := h.Accept(e); err != nil {
		t.Fatal(err)
	}
	field, _, _ := strings.Cut(string(h.Bytes()), "From:")
	return strings.ReplaceAll(field, "\r\n", "\n")
}

func TestAcceptRefusesMailThatKeepsComingBack(t *testing.T) {
	for name, own := range map[string]message.Received{
		"from a client":        {HelloName: "mail.op.example", Peer: "192.0.2.7:5123", By: "mx.example", Protocol: "ESMTPSA", ID: "0190-1"},
		"from IPv6":            {HelloName: "mail.op.example", Peer: "[2001:db8::1]:25", By: "mx.example", Protocol: "ESMTP", ID: "0190-1"},
		"without a name":       {Peer: "192.0.2.7", By: "mx.example", Protocol: "HTTP", ID: "0190-1"},
		"without an address":   {HelloName: "mail.op.example", By: "mx.example", Protocol: "SMTP", ID: "0190-1"},
		"from nobody":          {By: "mx.example", Protocol: "internal", ID: "0190-1"},
		"nothing but the host": {By: "mx.example"},
		"a client called by":   {HelloName: "by", Peer: "192.0.2.7", By: "mx.example", Protocol: "ESMTPSA", ID: "0190-1"},
		"a client called from": {HelloName: "from", By: "mx.example", ID: "0190-1"},
		"in capitals":          {HelloName: "X", By: "MX.Example", Protocol: "ESMTPSA", ID: "0190-1"},
		"folded":               {HelloName: strings.Repeat("long-name.", 20) + "example", Peer: "192.0.2.7", By: "mx.example", ID: "0190-1"},
	} {
		field := written(t, own)
		between := "Received: from x (unknown [192.0.2.9])\n\tby mail.op.example (Postfix) with ESMTPSA id 4F;\n\tSat, 31 Jan 2026 07:00:00 +0000\n"
		h := parse(t, strings.Repeat(field+between, 5)+"From: a@b.example\n\n")
		if _, err := h.Accept(accepting()); err != nil {
			t.Errorf("%s, the sixth time: %v", name, err)
			continue
		}
		_, err := h.Accept(accepting())
		wantError(t, err, waypost.Invalid, "5.4.6")
		if !strings.Contains(err.Error(), "6 times") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAcceptTakesNoOtherTraceFieldForItsOwn(t *testing.T) {
	for _, field := range []string{
		"Received: from a ([192.0.2.7]) by mx.example.org with ESMTP id 1; x",
		"Received: from a ([192.0.2.7]) by mx with ESMTP id 1; x",
		"Received: from mx.example ([192.0.2.7]) by other.example with ESMTP id 1; x",
		"Received: from a (by mx.example with ESMTP id 1) by other.example; x",
		"Received: from by mx.example; x",
		"Received: from a ([192.0.2.7]) (by mx.example) by other.example; x",
		"Received: from a by other.example; by mx.example",
		"Received: by mx.example-not with ESMTP; x",
		"Received: (qmail 1 invoked by mx.example); x",
		"X-Received: from a by mx.example with ESMTP id 1; x",
		"Received:", "Received: ;", "Received: by", "Received: from", "Received: from a", "Received: from a (b)", "Received: from a ( by", "Received: (((((", "Received: by ; mx.example",
		"Received: \xff\xfe by \x85 mx.example", "Received: from \n \n\t a", "Received: by\u00a0; " + strings.Repeat("(", 5000),
	} {
		h := parse(t, strings.Repeat(field+"\n", 20)+"From: a@b.example\n\n")
		if _, err := h.Accept(accepting()); err != nil {
			t.Errorf("%q: %v", field, err)
		}
	}
	h := parse(t, strings.Repeat("Received: by ; x\nReceived: ; x\n", 20)+"From: a@b.example\n\n")
	e := accepting()
	e.Received.By = "" // a host without a name knows none as its own
	if _, err := h.Accept(e); err != nil {
		t.Error(err)
	}
}

func TestAcceptFoldsLinesThatOthersWouldCut(t *testing.T) {
	to := strings.Repeat("recipient@example.com, ", 200) + "last@example.com"
	for _, header := range []string{
		"To: " + to + "\nFrom: a@b.example\n\n",
		"To: a@b.example,\n " + to + "   \nFrom: a@b.example\n\n",
		"X: " + strings.Repeat("x", 2000) + " y " + strings.Repeat("z", 2000) + strings.Repeat(" ", 1500) + "\nFrom: a@b.example\n\n",
		"X:" + strings.Repeat(" ", 1500) + "y\n\n",
	} {
		h := parse(t, header)
		before := h.Get("To") + h.Get("X")
		if _, err := h.Accept(accepting()); err != nil {
			t.Fatal(err)
		}
		again, err := message.ParseHeader(h.Bytes(), message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if after := again.Get("To") + again.Get("X"); after != before {
			t.Errorf("%q became %q", before, after)
		}
		for line := range bytes.Lines(h.Bytes()) {
			if strings.HasPrefix(string(line), "To:") && len(line) > 1000 {
				t.Errorf("line of %d bytes", len(line))
			}
		}
	}
}

func TestAttemptChangesFromOnly(t *testing.T) {
	block := []byte(crlf("Received: x;\n y\nFrom: Old <a@b.example>\nSender: a@b.example\nBcc: untouched\nX-Odd  : z\n\n"))
	if got := message.ForAttempt(block, nil); &got[0] != &block[0] {
		t.Error("copied without need")
	}
	got := message.ForAttempt(block, &waypost.Address{Name: "A", Email: "p@platform.example"})
	want := crlf("Received: x;\n y\nFrom: \"A\" <p@platform.example>\nBcc: untouched\nX-Odd  : z\n\n")
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestReceivedTellsWhatItMustAndNoMore(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	for want, r := range map[string]message.Received{
		"from h.example ([IPv6:2001:db8::1]) by mx.example with ESMTPA id 7": {HelloName: "h.example", Peer: "[2001:db8::1]:25", By: "mx.example", Protocol: "ESMTPA", ID: "7"},
		"from [192.0.2.1] by mx.example with HTTP id 7":                      {Peer: "::ffff:192.0.2.1", By: "mx.example", Protocol: "HTTP", ID: "7"},
		"from [10.0.0.1] ([192.0.2.1]) by mx.example":                        {HelloName: "[10.0.0.1]", Peer: "192.0.2.1", By: "mx.example"},
		"from evilbymx.evilidx by mx.example":                                {HelloName: "evil\r\n (by mx.evil; id=x)", By: "mx.example"},
		"by mx.example id 7":                                                 {By: "mx.example", ID: "7", Peer: "not an address"},
	} {
		if got := r.Value(now); got != want+"; Sat, 31 Jan 2026 08:00:00 +0000" {
			t.Errorf("%+v: %q", r, got)
		}
	}
}

func TestControlsAreRead(t *testing.T) {
	c, err := message.ReadControls(parse(t, `X-Waypost-Kind: Report
X-WAYPOST-LANE: alarm
X-Waypost-Send-At: 2026-01-31T08:00:00+03:00
X-Waypost-Expires-At: Sat, 31 Jan 2026 09:00:00 +0000
X-Waypost-Tags: daily, =?utf-8?b?0J/QsNGA0Lo=?=, ,
X-Waypost-Metadata: {"unit":"47  11",
 "note":"x"}
X-Waypost-Operator: fleet ltd
X-Waypost-Unsubscribe: No
Idempotency-Key: k-1
X-Waypost-Unknown: x

`))
	if err != nil {
		t.Fatal(err)
	}
	want := message.Controls{
		Kind: waypost.KindReport, Lane: waypost.LaneAlarm,
		SendAt:    time.Date(2026, 1, 31, 5, 0, 0, 0, time.UTC),
		ExpiresAt: time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC),
		Tags:      []string{"daily", "Парк"},
		Metadata:  map[string]string{"unit": "47  11", "note": "x"},
		Operator:  "fleet ltd", IdempotencyKey: "k-1", Unsubscribe: new(bool),
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestControlsThatCannotBeFollowedAreRefused(t *testing.T) {
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf(`"k%d":"v"`, i))
	}
	for _, line := range []string{
		"X-Waypost-Kind: urgent", "X-Waypost-Kind:", "X-Waypost-Lane: fast", "X-Waypost-Send-At: tomorrow",
		"X-Waypost-Expires-At: 12345", "X-Waypost-Tags: 1,2,3,4,5,6,7,8,9,10,11",
		"X-Waypost-Tags: " + strings.Repeat("ä", 65), `X-Waypost-Metadata: {"a":1}`, "X-Waypost-Metadata: a=b",
		"X-Waypost-Metadata: {" + strings.Join(many, ",") + "}",
		`X-Waypost-Metadata: {"a":"` + strings.Repeat("x", 5000) + `"}`,
		"X-Waypost-Operator:", "X-Waypost-Unsubscribe:", "X-Waypost-Unsubscribe: true", "Idempotency-Key:", "Idempotency-Key: a b", "Idempotency-Key: ü",
		"Idempotency-Key: " + strings.Repeat("k", 256), "X-Waypost-Kind: event\nx-waypost-kind: event",
	} {
		_, err := message.ReadControls(parse(t, line+"\n\n"))
		wantError(t, err, waypost.Invalid, "5.6.0")
		name, _, _ := strings.Cut(line, ":")
		if e := waypost.AsError(err); e.Field != name {
			t.Errorf("%q: field %q", line, e.Field)
		}
	}
}

const (
	docPath  = "../../docs/headers.md"
	docBegin = "<!-- table:begin -->\n"
	docEnd   = "<!-- table:end -->\n"
)

func TestTheDocumentShowsTheTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("| When | Field | Edit | Why |\n|---|---|---|---|\n")
	for _, e := range message.Edits() {
		fmt.Fprintf(&table, "| %s | `%s` | %s | %s |\n", e.When, e.Field, e.Action, e.Why)
	}
	doc, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(doc), docBegin)
	have, after, ok2 := strings.Cut(rest, docEnd)
	if !ok1 || !ok2 {
		t.Fatal("the marks of the table are missing")
	}
	if updating() {
		if err := os.WriteFile(docPath, []byte(before+docBegin+table.String()+docEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), have); diff != "" {
		t.Errorf("run go test ./internal/message -update (-code +doc):\n%s", diff)
	}
}
