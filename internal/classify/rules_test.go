package classify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/waypost"
)

// openRules writes an owner's file and opens it.
func openRules(t testing.TB, text string) (*classify.Rules, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return classify.Open(file)
}

func TestOwnersRulesComeFirst(t *testing.T) {
	t.Parallel()
	rules, err := openRules(t, `
[[rule]]
name = "prison"
words = ["IP in  Prison", "dumb"]
without = ["parole"]
cause = "reputation"
us = true
slow = "90m"
how = "suspend"

[[rule]]
name = "both"
all = ["moon", "full"]
cause = "mailbox_full"

[[rule]]
name = "site"
sites = ["lists.example"]
cause = "reputation"

[[rule]]
name = "any 5.9.x"
code = 554
status = "*.9."
phase = "dot"
cause = "content"
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		phase       waypost.Phase
		reply       string
		cause       classify.Cause
		rule, words string
		own         bool
	}{
		{rcpt, "550 5.1.1 Dumb user unknown", classify.Reputation, "prison", "dumb", true},
		{rcpt, "550 5.1.1 Your IP\tin prison", classify.Reputation, "prison", "ip in prison", true},
		{rcpt, "550 5.1.1 Dumb user unknown, on parole", classify.BadMailbox, "no such user", "user unknown", false},
		{rcpt, "550 full moon", classify.MailboxFull, "both", "moon, full", true},
		{rcpt, "550 new moon", classify.Unknown, "no rule", "", false},
		{rcpt, "550 see https://a.Lists.Example/q?x", classify.Reputation, "site", "lists.example", true},
		{rcpt, "550 see https://notlists.example/lists.example", classify.Unknown, "no rule", "", false},
		{dot, "554 5.9.9 no", classify.Content, "any 5.9.x", "", true},
		{rcpt, "554 5.9.9 no", classify.Unknown, "no rule", "", false},
	} {
		v := rules.Classify(classify.Input{Phase: tt.phase, Route: direct, Reply: reply(t, tt.reply)})
		if v.Cause != tt.cause || v.Rule != tt.rule || v.Words != tt.words || v.Own != tt.own {
			t.Errorf("%s: got %s (%s: %q, own %v), want %s (%s: %q, own %v)", tt.reply, v.Cause, v.Rule, v.Words, v.Own, tt.cause, tt.rule, tt.words, tt.own)
		}
	}
	v := rules.Classify(classify.Input{Phase: rcpt, Route: relay, Reply: reply(t, "550 dumb")})
	if v.Slow != (waypost.Slow{How: waypost.SlowSuspend, For: 90 * time.Minute}) || v.Outcome != routeDown {
		t.Errorf("got %+v", v)
	}
}

func TestBadRulesAreRefusedByName(t *testing.T) {
	t.Parallel()
	row := func(rest string) string { return "[[rule]]\nname = \"mine\"\n" + rest }
	many := func(n int, f string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, f, i)
		}
		return b.String()
	}
	for text, want := range map[string]string{
		row("code = 550\ncause = \"rate\"\nwrods = [\"x\"]"): `rule 1 ("mine"): no such key: "wrods"`,
		"max = 3":                                                                   `no such key: "max"`,
		row("code = 550\ncause = \"ratte\""):                                        `rule 1 ("mine"): cause "ratte" is none of`,
		row("code = 250\ncause = \"rate\""):                                         `rule 1 ("mine"): code 250`,
		row("status = \"5.7\"\ncause = \"rate\""):                                   `rule 1 ("mine"): status "5.7"`,
		row("status = \"2.7.1\"\ncause = \"rate\""):                                 `rule 1 ("mine"): status "2.7.1"`,
		row("phase = \"dinner\"\ncode = 550\ncause = \"rate\""):                     `rule 1 ("mine"): phase "dinner"`,
		row("cause = \"rate\""):                                                     `rule 1 ("mine"): without code`,
		row("without = [\"spam\"]\nphase = \"dot\"\ncause = \"rate\""):              `rule 1 ("mine"): without code`,
		row("words = [\"\"]\ncause = \"rate\""):                                     `rule 1 ("mine"): words: "" is too short`,
		row("words = [\"see zen.spamhaus.org\"]\ncause = \"rate\""):                 `words: "see zen.spamhaus.org" is never found`,
		row("words = [\"<x> no\"]\ncause = \"rate\""):                               `words: "<x> no" is never found`,
		row("all = [\"a@b.example\"]\ncause = \"rate\""):                            `all: "a@b.example" is never found`,
		row("sites = [\"spamhaus\"]\ncause = \"rate\""):                             `sites: "spamhaus" is not the name of a host`,
		row("code = 550\ncause = \"rate\"\nslow = \"soon\"\nhow = \"rate\""):        `slow "soon"`,
		row("code = 550\ncause = \"rate\"\nslow = \"5m\""):                          `how "" is none of`,
		row("code = 550\ncause = \"rate\"\nslow = \"1000h\"\nhow = \"rate\""):       `slow "1000h"`,
		row("code = \"550\"\ncause = \"rate\""):                                     `line 3`,
		"[[rule]]\ncode = 550\ncause = \"rate\"":                                    `rule 1: it needs a name`,
		row("code = 550\ncause = \"rate\"\n") + row("code = 551\ncause = \"rate\""): `rule 2 ("mine"): the name is taken`,
		many(501, "[[rule]]\nname = \"%d\"\ncode = 550\ncause = \"rate\"\n"):        `501 rules; at most 500`,
		row("cause = \"rate\"\nwords = [" + many(201, `"word %d",`) + "]"):          `words: 201 of them`,
		row("cause = \"rate\"\nwords = [\"" + strings.Repeat("x", 201) + "\"]"):     `more than 200 bytes`,
		"# " + strings.Repeat("x", 256<<10):                                         `more than 262144 bytes`,
		"[[rule":                                                                    `line 1`,
	} {
		_, err := openRules(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "rules.toml") {
			t.Errorf("%.80q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := classify.Open(filepath.Join(t.TempDir(), "none.toml")); err == nil {
		t.Error("a file that is not there is no error")
	}
	if _, err := openRules(t, ""); err != nil {
		t.Error("an empty file:", err)
	}
}

// Names are chosen by recipients, senders and whoever runs a server; they accuse nobody.
func TestNamesAreNoWords(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	for line, want := range map[string]classify.Cause{
		"550 5.1.1 <x@spamhaus-fan.example>: User unknown":                               classify.BadMailbox,
		"550 5.1.1 x@spamhaus-fan.example... User unknown":                               classify.BadMailbox,
		"550 spamhaus-fan.example: no such user":                                         classify.BadMailbox,
		"550 5.1.1 <virus-spam@example.com> User unknown":                                classify.BadMailbox,
		"550 User unknown, see https://greylist.example/dmarc/spf-fail.html":             classify.BadMailbox,
		"550 rejected by mx1.dmarc-blacklist.example[192.0.2.1]: no such user":           classify.BadMailbox,
		"550 <no-such-user@user-unknown.example>: Client host blocked":                   classify.Reputation,
		"550 Rejected, see https://mx.example/help/mailbox-not-found":                    classify.Unknown,
		"553 https://www.spamhaus.org/query/ip/192.0.2.1":                                classify.Reputation,
		"550 5.1.1 <x@example.com>: Recipient\r\n address\trejected:  User\n unknown in": classify.BadMailbox,
		"550 User unknown.Please check":                                                  classify.BadMailbox,
		"550 ПОЛЬЗОВАТЕЛЬ НЕ НАЙДЕН":                                                     classify.BadMailbox,
	} {
		if v := verdictOn(rules, line); v.Cause != want {
			t.Errorf("%q: got %s (%s: %q), want %s", line, v.Cause, v.Rule, v.Words, want)
		}
	}
}

// What goes with a user's code and is not the user's fault.
func TestNobodyIsBlamedForLimitsAndBlocks(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	for _, line := range []string{
		"550 5.1.1 too many recent messages", "550 5.1.1 sending rate exceeded", "550 5.1.1 policy forbids", "550 5.1.1 recipient preferences",
		"550 5.1.1 not verified yet", "550 5.1.1 blocked", "550 5.2.1 Mailbox unavailable. Your IP is blacklisted", "550 5.1.7 no such user",
		"550 5.1.8 domain does not exist", "550 Your domain does not exist", "550 sender does not exist", "550 HELO name does not exist",
		"550 this server does not accept mail from your network", "552 hourly quota exceeded", "552 daily quota exceeded", "552 sender over quota",
		"550 PTR record does not exist", "550 too many unknown users from your IP", "550 no", "550 recipient rejected",
	} {
		if v := verdictOn(rules, line); v.Blame == classify.BlameRecipient || v.Suppress() {
			t.Errorf("%s: %s (%s: %q) is the recipient's", line, v.Cause, v.Rule, v.Words)
		}
	}
}

func TestTemporaryRepliesNeverSuppress(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	for _, r := range []waypost.Reply{
		{Code: 450, Enhanced: "4.1.1", Text: "user unknown"},
		{Code: 450, Text: "user unknown"},
		{Code: 450, Enhanced: "5.1.1", Text: "user unknown"},
		{Code: 550, Enhanced: "4.1.1", Text: "user unknown"},
	} {
		if v := rules.Classify(classify.Input{Phase: rcpt, Reply: r}); v.Suppress() {
			t.Errorf("%s: %+v", r, v)
		}
	}
}

func TestParseReply(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]waypost.Reply{
		"550 5.1.1 no": {Code: 550, Enhanced: "5.1.1", Text: "no"},
		"550-5.1.1 no 550-5.1.1 such 550 5.1.1 user":                                      {Code: 550, Enhanced: "5.1.1", Text: "no such user"},
		"550-no\r\n550-such\r\n550 user":                                                  {Code: 550, Text: "no\r\nsuch\r\n550 user"},
		"smtp; 550 5.1.1 no":                                                              {Code: 550, Enhanced: "5.1.1", Text: "no"},
		"smtp;451 Invalid Recipient":                                                      {Code: 451, Text: "Invalid Recipient"},
		"host a.example[192.0.2.1] said: 550 no (in reply to RCPT TO command)":            {Code: 550, Text: "no (in reply to RCPT TO command)"},
		"SMTP error from remote mail server after RCPT TO:<a@b.example>: 450 4.2.0 later": {Code: 450, Enhanced: "4.2.0", Text: "later"},
		"554":                                 {Code: 554},
		"550 4.4.7 expired":                   {Code: 550, Text: "4.4.7 expired"},
		"5501 no":                             {Text: "5501 no"},
		"unknown user: \"x\"":                 {Text: "unknown user: \"x\""},
		"connect to a[1.2.3.4]:25: timed out": {Text: "connect to a[1.2.3.4]:25: timed out"},
		"":                                    {},
	} {
		if got := classify.ParseReply(text); got != want {
			t.Errorf("%q:\n got %#v\nwant %#v", text, got, want)
		}
	}
}

func TestEveryCauseHasAClassThatIsListed(t *testing.T) {
	t.Parallel()
	listed := map[classify.Class]bool{}
	for _, c := range classify.Classes() {
		listed[c] = true
	}
	for _, c := range append(classify.Causes(), "") {
		if !listed[c.Class()] {
			t.Errorf("%q: %q", c, c.Class())
		}
	}
}

func TestRepliesSayHowToSlowDown(t *testing.T) {
	t.Parallel()
	rules := classify.BuiltIn()
	for line, want := range map[string]waypost.Slow{
		"421 4.7.0 Try again later, closing connection.":                             {How: waypost.SlowRate, For: 15 * time.Minute},
		"421 4.7.0 [TSS04] Messages from 203.0.113.9 temporarily deferred":           {How: waypost.SlowSuspend, For: 2 * time.Hour},
		"451 4.7.652 has exceeded the maximum number of connections":                 {How: waypost.SlowConnections, For: time.Hour},
		"450 4.2.1 The user you are trying to contact is receiving mail too quickly": {How: waypost.SlowRecipient, For: 15 * time.Minute},
		"421 4.7.0 Slow down, you are sending too fast":                              {How: waypost.SlowRate, For: 15 * time.Minute},
		"451 4.3.2 System too busy, try again later":                                 {},
		"450 4.2.0 Greylisted": {},
		"550 5.1.1 no":         {},
	} {
		if v := verdictOn(rules, line); v.Slow != want {
			t.Errorf("%s: got %+v (%s), want %+v", line, v.Slow, v.Rule, want)
		}
	}
}
