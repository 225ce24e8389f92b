package view_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel/view"
)

// emailPage is the page with a value in every field.
func emailPage(value string) view.Email {
	field := func(name string) view.Field {
		return view.Field{Name: name, Label: name, Value: value, Hint: value, Error: value}
	}
	options := []view.Option{{Value: "smtp", Label: value, Hint: value, Fill: `{"port":"587"}`}, {Value: "builtin", Label: "Built-in", Disabled: true}}
	v := view.Email{
		Write: true, Wrong: value != "", PasswordSaved: true, InUse: value, Warnings: []string{value},
		Failing: &view.EmailFailing{Since: value, Reason: value, Next: value},
		Presets: []view.EmailPreset{{
			ID: "other", Name: value, Docs: "https://docs.example/", Chosen: true, Username: value, Login: value, Notes: []string{value, value},
			Hosts: [][2]string{{value, value}}, Ports: []string{value, value},
		}},
		Fields: view.EmailFields{
			Gateway: field("gateway"), Preset: field("preset"), Host: field("host"), Port: field("port"), Security: field("security"),
			TrustAll: field("trust_all"), Auth: field("auth"), Username: field("username"), Password: field("password"), FromEmail: field("from_email"),
			FromName: field("from_name"), ReplyTo: field("reply_to"), SignatureText: field("signature_text"), SignatureHTML: field("signature_html"), To: field("to"),
		},
	}
	v.Fields.Gateway.Options, v.Fields.Preset.Options, v.Fields.Security.Options = options, options, options
	v.Fields.Password.Value = "" // a secret is never in a page
	return v
}

func TestEmailSettings(t *testing.T) {
	p := frame(t)
	golden(t, "email-empty", view.EmailPage(p, view.Email{}))
	golden(t, "email-hostile", view.EmailPage(p, emailPage(hostile)))
	golden(t, "email-long", view.EmailPage(p, view.Email{InUse: strings.Repeat("long ", 2000), Warnings: []string{strings.Repeat("W", 10_000)}}))
}

func TestATestMailOnItsWay(t *testing.T) {
	p := frame(t)
	steps := []view.EmailStep{
		{Phase: "Connection", OK: true, Took: "3 ms", Detail: "mx.example.net [192.0.2.7]:25"}, {Phase: "Authorization", Took: "1 s", Detail: hostile, Reply: hostile},
	}
	golden(t, "test-under-way", view.EmailTestPage(p, view.EmailTest{Path: "/settings/email/test/1", To: hostile, Live: true, Steps: steps[:1]}))
	golden(t, "test-failed", view.EmailTestPart(p, view.EmailTest{
		To: hostile, Done: true, Steps: steps, Summary: hostile, Reply: hostile, Field: "password", FieldLabel: "Password",
	}))
	golden(t, "test-delivered", view.EmailTestPart(p, view.EmailTest{
		To: "me@example.com", Done: true, OK: true, Summary: "Taken.", Reply: "250 2.0.0 ok", Steps: steps[:1], Receives: true, Check: &view.EmailCheck{
			From: hostile, Peer: hostile, TLS: hostile, Size: "2 KiB", Took: "1 s", SPF: "pass", DKIM: "fail", DMARC: hostile, Results: hostile, Sentences: []string{hostile},
		},
	}))
	golden(t, "test-refused", view.EmailTestRefused(p, []string{hostile, "Port: not allowed."}))
}
