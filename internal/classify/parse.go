package classify

import (
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// ParseReply reads a reply as people copy it and reports quote it, in one line or
// several: "550-5.1.1 No such 550 5.1.1 user". What stands before it, such as "host
// mx.example[192.0.2.1] said:", is left out. Without a code all of it is text.
func ParseReply(text string) waypost.Reply {
	text = strings.TrimSpace(text)
	if _, said, ok := strings.Cut(text, " said: "); ok {
		text = said
	}
	if len(text) < 3 || strings.Trim(text[:3], "0123456789") != "" || text[0] < '2' || text[0] > '5' ||
		len(text) > 3 && text[3] != ' ' && text[3] != '-' && text[3] != '\n' && text[3] != '\r' {
		return waypost.Reply{Text: text}
	}
	code := text[:3]
	r := waypost.Reply{Code: int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')}
	text = text[min(len(text), 4):]
	if status := leadingStatus(text); status != "" && status[0] == code[0] {
		r.Enhanced = status
		text = text[len(status):]
		text = withoutCodes(text, code+"-"+status)
		text = withoutCodes(text, code+" "+status)
	}
	r.Text = strings.TrimSpace(withoutCodes(text, code+"-"))
	return r
}

// withoutCodes takes out what further lines of a reply began with.
func withoutCodes(text, code string) string {
	for _, before := range []string{" ", "\n"} {
		text = strings.ReplaceAll(text, before+code, before)
	}
	return text
}
