package message

import (
	"mime"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/waypost"
)

// ParseAddressList reads an address list (RFC 5322 section 3.4, RFC 6532): groups
// are flattened, names decoded (RFC 2047), bytes that are not UTF-8 replaced. The
// addresses come in the form waypost.SplitAddress takes: local part as written with
// the quotes it needs, domain in lower case. An empty list, or one bad address, is an
// Invalid error.
func ParseAddressList(value string) ([]waypost.Address, error) {
	value = strings.Trim(strings.ReplaceAll(value, "\r\n", ""), " \t")
	if a, ok := parseSimple(value); ok {
		return []waypost.Address{a}, nil
	}
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: charsetReader}}
	parsed, err := parser.ParseList(strings.ToValidUTF8(value, "\uFFFD"))
	if err != nil {
		return nil, addressError(err)
	}
	out := make([]waypost.Address, 0, len(parsed))
	for _, p := range parsed {
		email, err := canonical(p.Address)
		if err != nil {
			return nil, addressError(err)
		}
		out = append(out, waypost.Address{Name: strings.Trim(DecodeText(p.Name), " "), Email: email})
	}
	if len(out) == 0 {
		return nil, addressError(waypost.ErrAddressSyntax)
	}
	return out, nil
}

// parseSimple reads the two forms nearly every mail has, "a@b" and "Name <a@b>" with
// a name of plain words, without the cost of a full parser.
func parseSimple(s string) (waypost.Address, bool) {
	if strings.ContainsAny(s, "\"(),:;\\[]") || strings.Contains(s, "=?") {
		return waypost.Address{}, false
	}
	name, email := "", s
	if strings.HasSuffix(s, ">") {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			return waypost.Address{}, false
		}
		name, email = strings.Trim(s[:open], " "), s[open+1:len(s)-1]
	}
	if strings.ContainsAny(name, "@<>.\t") || !plain(name) || strings.Contains(name, "  ") || !isASCIIString(email) {
		return waypost.Address{}, false
	}
	local, domain, err := waypost.SplitAddress(email)
	if err != nil {
		return waypost.Address{}, false
	}
	return waypost.Address{Name: name, Email: local + "@" + domain}, true
}

// canonical checks an addr-spec as net/mail returns it, with the quotes of the local
// part removed, and puts them back where they are needed.
func canonical(addr string) (string, error) {
	local, domain, err := waypost.SplitAddress(addr)
	if at := strings.LastIndexByte(addr, '@'); at >= 0 && (err != nil || local[0] == '"') {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(addr[:at]) + `"`
		local, domain, err = waypost.SplitAddress(quoted + addr[at:])
	}
	return local + "@" + domain, err
}

func addressError(cause error) error {
	return &waypost.Error{
		Kind: waypost.Invalid, Code: "bad_address", SMTP: "5.6.0",
		Message: "not a list of e-mail addresses", Err: cause,
	}
}

// FormatAddress writes an address as one element of an address list: the bare
// address, or the name, quoted or as encoded words, and the address in angle
// brackets. Whatever the name holds, the result is a single line with exactly one
// address. An address that waypost.SplitAddress refuses loses every character that
// means something in a list.
func FormatAddress(a waypost.Address) string {
	email := a.Email
	if _, _, err := waypost.SplitAddress(email); err != nil {
		email = strings.Map(func(r rune) rune {
			if isControl(r) || r == utf8.RuneError || strings.ContainsRune(` "(),:;<>[\]`, r) {
				return -1
			}
			return r
		}, email)
	}
	name := strings.Trim(squeeze(a.Name), " ")
	switch {
	case name == "":
		return email
	case plain(name):
		return quote(name) + " <" + email + ">"
	default:
		return encodeWords(name) + " <" + email + ">"
	}
}

// FormatAddressList writes addresses as the value of an address field.
func FormatAddressList(list []waypost.Address) string {
	parts := make([]string, len(list))
	for i, a := range list {
		parts[i] = FormatAddress(a)
	}
	return strings.Join(parts, ", ")
}

func quote(s string) string {
	if strings.ContainsAny(s, `"\`) {
		s = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
	}
	return `"` + s + `"`
}

// From returns the author of the mail. A mail must have exactly one From field with
// exactly one address; anything else is Invalid (5.6.0), because readers and DMARC
// checkers (RFC 7489 section 6.6.1) would not agree on who wrote it.
func (h *Header) From() (waypost.Address, error) {
	switch h.Count("From") {
	case 0:
		return waypost.Address{}, fromError("the mail has no From field", nil)
	case 1:
	default:
		return waypost.Address{}, fromError("the mail has several From fields", nil)
	}
	list, err := ParseAddressList(h.Get("From"))
	switch {
	case err != nil:
		return waypost.Address{}, fromError("the From field is not an e-mail address", err)
	case len(list) != 1:
		return waypost.Address{}, fromError("the From field has several addresses", nil)
	}
	return list[0], nil
}

func fromError(message string, cause error) error {
	return &waypost.Error{
		Kind: waypost.Invalid, Code: "bad_from", Field: "from", SMTP: "5.6.0", Message: message, Err: cause,
	}
}
