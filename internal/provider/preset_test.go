package provider_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/provider"
	"github.com/waypost/waypost/internal/waypost"
)

// documentedOn is the date of the values below. They were typed apart from the table, so
// that a slip in one shows against the other.
const documentedOn = "2026-11-23"

type documented struct {
	id       string
	host     string
	port     int
	security string
	username string
	login    string
	docs     string
}

func documentedValues() []documented {
	return []documented{
		{"gmail", "smtp.gmail.com", 465, "tls", "address", "you@gmail.com", "https://developers.google.com/workspace/gmail/imap/imap-smtp"},
		{"google_workspace_relay", "smtp-relay.gmail.com", 587, "starttls", "address", "you@example.com", "https://support.google.com/a/answer/2956491"},
		{"microsoft_365", "smtp.office365.com", 587, "starttls", "address", "you@example.com", "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/how-to-set-up-a-multifunction-device-or-application-to-send-email-using-microsoft-365-or-office-365"},
		{"outlook_com", "smtp-mail.outlook.com", 587, "starttls", "address", "you@outlook.com", "https://support.microsoft.com/en-us/office/pop-imap-and-smtp-settings-for-outlook-com-d088b986-291d-42b8-9564-9c414e2aa040"},
		{"yahoo", "smtp.mail.yahoo.com", 465, "tls", "address", "you@yahoo.com", "https://help.yahoo.com/kb/SLN4075.html"},
		{"zoho", "smtppro.zoho.com", 465, "tls", "address", "you@example.com", "https://www.zoho.com/mail/help/zoho-smtp.html"},
		{"yandex", "smtp.yandex.com", 465, "tls", "address", "you@yandex.com", "https://yandex.com/support/yandex-360/customers/mail/en/mail-clients/others"},
		{"mail_ru", "smtp.mail.ru", 465, "tls", "address", "you@mail.ru", "https://help.mail.ru/mail/mailer/popsmtp"},
		{"mandrill", "smtp.mandrillapp.com", 465, "tls", "any", "", "https://mailchimp.com/developer/transactional/docs/smtp-integration/"},
		{"sendgrid", "smtp.sendgrid.net", 587, "starttls", "fixed", "apikey", "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api"},
		{"mailgun", "smtp.mailgun.org", 587, "starttls", "issued", "postmaster@mg.example.com", "https://documentation.mailgun.com/docs/mailgun/user-manual/smtp-protocol/"},
		{"amazon_ses", "email-smtp.us-east-1.amazonaws.com", 587, "starttls", "issued", "", "https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html"},
		{"postmark", "smtp.postmarkapp.com", 587, "starttls", "token", "", "https://postmarkapp.com/support/article/811-what-are-the-smtp-details-api-tokens-i-should-be-using"},
		{"brevo", "smtp-relay.brevo.com", 465, "tls", "issued", "", "https://developers.brevo.com/docs/smtp-integration"},
		{"smtp2go", "mail.smtp2go.com", 465, "tls", "issued", "", "https://developers.smtp2go.com/docs/smtp-relay"},
	}
}

func TestPresetsAreAsDocumented(t *testing.T) {
	t.Parallel()
	all := provider.All()
	if got, want := len(all), len(documentedValues())+1; got != want {
		t.Fatalf("%d presets, want %d: every one belongs into this test", got, want)
	}
	for i, want := range documentedValues() {
		p := all[i] // the order is that of the page
		got := documented{p.ID, p.Host, p.Port, string(p.Security), string(p.Username), p.Login, p.Docs}
		if got != want {
			t.Errorf("preset %d:\n got %v\nwant %v", i, got, want)
		}
		if p.Checked != documentedOn {
			t.Errorf("%s was checked on %s, this test on %s", p.ID, p.Checked, documentedOn)
		}
	}
}

func TestVariantsAreAsDocumented(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"zoho": "us_pro=smtppro.zoho.com us=smtp.zoho.com eu_pro=smtppro.zoho.eu eu=smtp.zoho.eu in_pro=smtppro.zoho.in in=smtp.zoho.in " +
			"au_pro=smtppro.zoho.com.au au=smtp.zoho.com.au jp_pro=smtppro.zoho.jp jp=smtp.zoho.jp ca_pro=smtppro.zohocloud.ca ca=smtp.zohocloud.ca",
		"yandex":   "com=smtp.yandex.com ru=smtp.yandex.ru",
		"sendgrid": "global=smtp.sendgrid.net eu=smtp.eu.sendgrid.net",
		"mailgun":  "us=smtp.mailgun.org eu=smtp.eu.mailgun.org",
		"postmark": "transactional=smtp.postmarkapp.com broadcast=smtp-broadcasts.postmarkapp.com",
		"smtp2go":  "global=mail.smtp2go.com us=mail-us.smtp2go.com eu=mail-eu.smtp2go.com eu_only=mail-eu2.smtp2go.com au=mail-au.smtp2go.com",
		"amazon_ses": "us-east-1=email-smtp.us-east-1.amazonaws.com us-east-2=email-smtp.us-east-2.amazonaws.com us-west-2=email-smtp.us-west-2.amazonaws.com " +
			"ca-central-1=email-smtp.ca-central-1.amazonaws.com sa-east-1=email-smtp.sa-east-1.amazonaws.com " +
			"eu-central-1=email-smtp.eu-central-1.amazonaws.com eu-west-1=email-smtp.eu-west-1.amazonaws.com eu-west-2=email-smtp.eu-west-2.amazonaws.com " +
			"eu-south-1=email-smtp.eu-south-1.amazonaws.com eu-north-1=email-smtp.eu-north-1.amazonaws.com " +
			"ap-south-1=email-smtp.ap-south-1.amazonaws.com ap-northeast-2=email-smtp.ap-northeast-2.amazonaws.com " +
			"ap-southeast-1=email-smtp.ap-southeast-1.amazonaws.com ap-southeast-2=email-smtp.ap-southeast-2.amazonaws.com ap-northeast-1=email-smtp.ap-northeast-1.amazonaws.com",
		"gmail": "",
	} {
		p, ok := provider.ByID(id)
		var got []string
		for _, v := range p.Variants {
			got = append(got, v.ID+"="+v.Host)
		}
		if !ok || strings.Join(got, " ") != want {
			t.Errorf("%s, %v:\n got %s\nwant %s", id, ok, strings.Join(got, " "), want)
		}
	}
}

func TestOtherPortsAreAsDocumented(t *testing.T) {
	t.Parallel()
	const startTLS, tls = waypost.SecurityStartTLS, waypost.SecurityTLS
	for id, want := range map[string][]provider.Endpoint{
		"gmail": {{587, startTLS}}, "google_workspace_relay": nil, "microsoft_365": nil, "outlook_com": nil,
		"yahoo": {{587, startTLS}}, "zoho": {{587, startTLS}}, "yandex": nil, "mail_ru": nil,
		"mandrill": {{587, startTLS}, {2525, startTLS}}, "sendgrid": {{465, tls}, {2525, startTLS}},
		"mailgun": {{465, tls}, {2525, startTLS}}, "amazon_ses": {{465, tls}}, "postmark": {{2525, startTLS}},
		"brevo": {{587, startTLS}, {2525, startTLS}}, "smtp2go": {{587, startTLS}, {2525, startTLS}},
	} {
		if p, _ := provider.ByID(id); !slices.Equal(p.Other, want) {
			t.Errorf("%s: %v, want %v", id, p.Other, want)
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	used := map[provider.Note]bool{}
	for id, want := range map[string]string{
		"gmail":                  "app_password two_step_verification sender_must_match_login low_daily_limit",
		"google_workspace_relay": "smtp_relay_enabled_by_admin ip_allowlist app_password two_step_verification",
		"microsoft_365":          "smtp_auth_enabled_by_admin sender_must_match_login oauth_only_soon starttls_only",
		"outlook_com":            "oauth_only",
		"yahoo":                  "app_password sender_must_match_login low_daily_limit",
		"zoho":                   "region_of_account host_by_plan app_password sender_must_match_login",
		"yandex":                 "app_password mail_programs_enabled sender_must_match_login low_daily_limit",
		"mail_ru":                "app_password sender_must_match_login low_daily_limit",
		"mandrill":               "api_key_as_password sender_domain_verified transactional_only",
		"sendgrid":               "api_key_as_password sender_domain_verified region_of_account",
		"mailgun":                "smtp_credentials region_of_account sender_domain_verified sandbox_until_approved",
		"amazon_ses":             "smtp_credentials region_of_account sender_domain_verified sandbox_until_approved",
		"postmark":               "api_key_as_password sender_domain_verified sandbox_until_approved starttls_only",
		"brevo":                  "smtp_credentials ip_allowlist sender_domain_verified",
		"smtp2go":                "smtp_credentials sender_domain_verified",
		"other":                  "ask_administrator",
	} {
		p, _ := provider.ByID(id)
		var got []string
		for _, n := range p.Notes {
			got = append(got, string(n))
			used[n] = true
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", id, strings.Join(got, " "), want)
		}
	}
	for _, n := range provider.Notes() {
		if text := n.Text(); text == "" || len(text) > 200 || !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q", n, text)
		}
		if !used[n] {
			t.Errorf("no preset has the note %s", n)
		}
		delete(used, n)
	}
	if len(used) > 0 {
		t.Errorf("not listed: %v", used)
	}
	if provider.Note("no such note").Text() != "" {
		t.Error("a note that does not exist has a text")
	}
}

// What a form fills in must pass the checks of the settings.
func TestPresetsAreUsable(t *testing.T) {
	t.Parallel()
	ports := []int{25, 465, 587, 2525} // allowed by default
	ids := map[string]bool{}
	for _, p := range provider.All() {
		if ids[p.ID] || p.ID != strings.ToLower(p.ID) || p.ID == "" || p.Name == "" || len(p.Notes) == 0 || p.Username.Text() == "" {
			t.Errorf("preset %+v", p)
		}
		ids[p.ID] = true
		for _, e := range append([]provider.Endpoint{{p.Port, p.Security}}, p.Other...) {
			if !slices.Contains(ports, e.Port) || (e.Port == 465) != (e.Security == waypost.SecurityTLS) {
				t.Errorf("%s: port %d with %s", p.ID, e.Port, e.Security)
			}
		}
		if (p.Username == provider.UsernameFixed) && p.Login == "" {
			t.Errorf("%s: which user name?", p.ID)
		}
		if p.ID == provider.OtherID {
			if p.Host != "" || p.Docs != "" || p.Checked != "" {
				t.Errorf("the preset for other servers knows %+v", p)
			}
			continue
		}
		if u, err := url.Parse(p.Docs); err != nil || u.Scheme != "https" || u.RawQuery != "" || u.Host == "" {
			t.Errorf("%s: docs %q", p.ID, p.Docs)
		}
		if _, err := time.Parse(time.DateOnly, p.Checked); err != nil {
			t.Errorf("%s: %v", p.ID, err)
		}
		seen := map[string]bool{}
		for i, v := range p.Variants {
			if v.ID == "" || v.Name == "" || seen[v.ID] || seen[v.Host] || (i == 0) != (v.Host == p.Host) {
				t.Errorf("%s: variant %+v", p.ID, v)
			}
			seen[v.ID], seen[v.Host] = true, true
		}
	}
	if all := provider.All(); all[len(all)-1].ID != provider.OtherID {
		t.Error("other servers are not the last choice")
	}
}

func TestServersShowTheirPreset(t *testing.T) {
	t.Parallel()
	for _, p := range provider.All() {
		hosts := []string{p.Host}
		for _, v := range p.Variants {
			hosts = append(hosts, v.Host)
		}
		for _, host := range hosts {
			if got, ok := provider.ByHost(host); host != "" && (!ok || got.ID != p.ID) {
				t.Errorf("%s is %q, want %s", host, got.ID, p.ID)
			}
		}
	}
	for host, want := range map[string]string{
		" SMTP.Gmail.com. ":                       "gmail",
		"smtp.googlemail.com":                     "gmail",
		"smtp-legacy.office365.com":               "microsoft_365",
		"plus.smtp.mail.yahoo.com":                "yahoo",
		"email-smtp.eu-west-3.amazonaws.com":      "amazon_ses", // not among those to choose
		"email-smtp-fips.us-west-1.amazonaws.com": "amazon_ses",
		"smtp-relay.sendinblue.com":               "brevo",
		"smtp.zoho.sa":                            "zoho",

		"":                                 "",
		".":                                "",
		"mail.example.com":                 "",
		"other":                            "",
		"gmail.com":                        "",
		"smtp.gmail.com.example.com":       "",
		"xsmtp.gmail.com":                  "",
		"smtp.yandex.example.com":          "",
		"email-smtp.amazonaws.com":         "",
		"email-smtp.x.amazonaws.com.evil":  "",
		"203.0.113.9":                      "",
		"*":                                "",
		"mail.yahoo.com":                   "",
		"smtp.mail.yahoo.com/../evil.test": "",
	} {
		if got, ok := provider.ByHost(host); got.ID != want || ok != (want != "") {
			t.Errorf("%q is %q, %v; want %q", host, got.ID, ok, want)
		}
	}
}

func TestByID(t *testing.T) {
	t.Parallel()
	if p, ok := provider.ByID(provider.OtherID); !ok || p.Port != 587 {
		t.Errorf("%+v, %v", p, ok)
	}
	if p, ok := provider.ByID("no such"); ok || p.ID != "" {
		t.Errorf("%+v, %v", p, ok)
	}
}

// Callers may change what they get.
func TestTableIsNotShared(t *testing.T) {
	t.Parallel()
	one := provider.All()
	for i := range one {
		one[i].Host = "evil.test"
		for j := range one[i].Variants {
			one[i].Variants[j].Host = "evil.test"
		}
		one[i].Notes[0] = "evil"
	}
	for _, p := range provider.All() {
		if p.Host == "evil.test" || p.Notes[0] == "evil" || len(p.Variants) > 0 && p.Variants[0].Host == "evil.test" {
			t.Errorf("%s was changed", p.ID)
		}
	}
}
