package waypost

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Detail says something more about a change, for people of any language. It is kept as
// text: either facts as compact JSON, each a code with what fills in its text, or a value
// that needs no translation, such as an address or a name, as it is.
type Detail string

// DetailCode names the text of a fact. Codes are kept, so they stay; texts may change.
type DetailCode string

// The codes of the audit log, with what they are filled in with.
const (
	DetailAskedByMail        DetailCode = "asked_by_mail"
	DetailPasswordChanged    DetailCode = "password_changed"
	DetailPasswordByLink     DetailCode = "password_by_link"
	DetailInvitationAccepted DetailCode = "invitation_accepted"
	DetailPassword           DetailCode = "password"          // how somebody signed in
	DetailPasswordCode       DetailCode = "password_code"     // the same, in two steps
	DetailPasswordRecovery   DetailCode = "password_recovery" // count: recovery codes left
	DetailWrongPasswords     DetailCode = "wrong_passwords"
	DetailWrongCodes         DetailCode = "wrong_codes"
	DetailSessions           DetailCode = "sessions"  // count
	DetailMails              DetailCode = "mails"     // count
	DetailCancelled          DetailCode = "cancelled" // count: queued deliveries
	DetailNothingLeft        DetailCode = "nothing_left"
	DetailChanged            DetailCode = "changed" // field, is, was
	DetailServer             DetailCode = "server"  // host, port, security
	DetailAnyCertificate     DetailCode = "any_certificate"
	DetailRealCertificate    DetailCode = "real_certificate"
	DetailServerPassword     DetailCode = "server_password"
	DetailNoServerPassword   DetailCode = "no_server_password"
	DetailSender             DetailCode = "sender" // address
	DetailSignature          DetailCode = "signature"
	DetailMadeDefault        DetailCode = "made_default"
	DetailResent             DetailCode = "resent"   // of, as: messages
	DetailImported           DetailCode = "imported" // count, refused: rows
	DetailExcluded           DetailCode = "excluded"
	DetailIncluded           DetailCode = "included"
	DetailInitial            DetailCode = "initial"
	DetailWebhookGone        DetailCode = "webhook_gone"
	DetailWebhookFailing     DetailCode = "webhook_failing"
)

// DetailTexts has the English text of every code; what is in braces is filled in.
func DetailTexts() map[DetailCode]string {
	return map[DetailCode]string{ //nolint:gosec // words about passwords
		DetailAskedByMail:        "asked for by mail",
		DetailPasswordChanged:    "changed",
		DetailPasswordByLink:     "set with a link",
		DetailInvitationAccepted: "invitation accepted",
		DetailPassword:           "password",
		DetailPasswordCode:       "password and code",
		DetailPasswordRecovery:   "password and recovery code, {count} left",
		DetailWrongPasswords:     "too many wrong passwords: others than networks the user is known from have to wait",
		DetailWrongCodes:         "too many wrong codes: others than networks the user is known from have to wait",
		DetailSessions:           "{count} sessions",
		DetailMails:              "{count} mails",
		DetailCancelled:          "{count} queued deliveries are cancelled",
		DetailNothingLeft:        "nothing is left but counters and this log: {messages} messages were removed, {cancelled} of their deliveries cancelled",
		DetailChanged:            `{field}: "{is}", was "{was}"`,
		DetailServer:             "server {host} port {port} {security}",
		DetailAnyCertificate:     "any certificate is trusted",
		DetailRealCertificate:    "certificates are checked",
		DetailServerPassword:     "the server's password was set",
		DetailNoServerPassword:   "the server's password was removed",
		DetailSender:             "sender {address}",
		DetailSignature:          "signature",
		DetailMadeDefault:        "default",
		DetailResent:             "{of} as {as}",
		DetailImported:           "{count} rows, {refused} refused",
		DetailExcluded:           "not included",
		DetailIncluded:           "included",
		DetailInitial:            "included, and new operators start with it",
		DetailWebhookGone:        "the endpoint answered 410 Gone",
		DetailWebhookFailing:     "the endpoint took nothing for three days",
	}
}

// Fact is one thing a Detail says.
type Fact struct {
	Code DetailCode
	Args map[string]any // what fills in the text by name: a string, or a json.Number
}

const factCode = "code"

// NewDetail returns the detail of one fact. Pairs of names and values, strings and whole
// numbers, fill in its text.
func NewDetail(code DetailCode, pairs ...any) Detail {
	fact := map[string]any{factCode: code}
	for i := 0; i+1 < len(pairs); i += 2 {
		fact[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	text, err := json.Marshal(fact)
	if err != nil { // a value that JSON does not have, which no caller gives
		return Detail(code)
	}
	return Detail(text)
}

// ChangeDetail says that a field has another value now; it says nothing if it has not.
func ChangeDetail[T ~string | ~int](field string, was, is T) Detail {
	if was == is {
		return ""
	}
	return NewDetail(DetailChanged, "field", field, "is", is, "was", was)
}

// Details puts facts together, leaving out those that say nothing. None may be a value.
func Details(facts ...Detail) Detail {
	var list []string
	for _, f := range facts {
		if f != "" {
			list = append(list, strings.TrimSuffix(strings.TrimPrefix(string(f), "["), "]"))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return Detail("[" + strings.Join(list, ",") + "]")
}

// Facts takes a detail apart; one that is a value has none.
func (d Detail) Facts() []Fact {
	text := string(d)
	switch {
	case strings.HasPrefix(text, "{"):
		text = "[" + text + "]"
	case !strings.HasPrefix(text, "[{"):
		return nil
	}
	in := json.NewDecoder(strings.NewReader(text))
	in.UseNumber()
	var list []map[string]any
	if in.Decode(&list) != nil {
		return nil
	}
	facts := make([]Fact, len(list))
	for i, args := range list {
		code, ok := args[factCode].(string)
		if !ok {
			return nil
		}
		delete(args, factCode)
		facts[i] = Fact{Code: DetailCode(code), Args: args}
	}
	return facts
}

// String is the detail in English. A fact without a text, written by a newer version, is
// as it is kept.
func (d Detail) String() string {
	facts, texts := d.Facts(), DetailTexts()
	if len(facts) == 0 {
		return string(d)
	}
	list := make([]string, len(facts))
	for i, f := range facts {
		text, ok := texts[f.Code]
		if !ok {
			return string(d)
		}
		var fill []string
		for name, value := range f.Args {
			if name == "field" {
				value = strings.ReplaceAll(fmt.Sprint(value), "_", " ")
			}
			fill = append(fill, "{"+name+"}", fmt.Sprint(value))
		}
		list[i] = strings.NewReplacer(fill...).Replace(text)
	}
	return strings.Join(list, "; ")
}
