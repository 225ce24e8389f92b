package classify

import (
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// ParseReply reads a reply as people copy it and reports quote it, in one line or
// several: "smtp; 550-5.1.1 No such 550 5.1.1 user", "host mx.example[192.0.2.1] said: 550
// no". What stands before the code is left out. Without a code all of it is text.
func ParseReply(text string) waypost.Reply {
	text = strings.TrimSpace(text)
	start := codeIn(text)
	if start < 0 {
		return waypost.Reply{Text: text}
	}
	text = text[start:]
	code := text[:3]
	r := waypost.Reply{Code: int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')}
	text = text[min(len(text), 4):]
	if status := leadingStatus(text); status != "" && status[0] == code[0] {
		r.Enhanced = status
		text = text[len(status):]
		text = withoutCodes(text, code+"-"+status+" ")
		text = withoutCodes(text, code+" "+status+" ")
	}
	r.Text = strings.TrimSpace(withoutCodes(text, code+"-"))
	return r
}

// codeIn returns where the first reply code is that begins the text or follows a ":" or
// ";", as what introduces a quotation ends, -1 for none.
func codeIn(text string) int {
	for i := 0; i+3 <= len(text); i++ {
		before := strings.TrimRight(text[:i], " ")
		if before != "" && before[len(before)-1] != ':' && before[len(before)-1] != ';' {
			continue
		}
		digits := text[i : i+3]
		if digits[0] >= '2' && digits[0] <= '5' && strings.Trim(digits, "0123456789") == "" &&
			(i+3 == len(text) || strings.IndexByte(" -\r\n", text[i+3]) >= 0) {
			return i
		}
	}
	return -1
}

// withoutCodes takes out what further lines of a reply began with.
func withoutCodes(text, code string) string {
	for _, before := range []string{" ", "\n"} {
		text = strings.ReplaceAll(text, before+code, before)
	}
	return text
}
