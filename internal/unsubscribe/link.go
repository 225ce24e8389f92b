package unsubscribe

import (
	"encoding/base64"
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Sealer keeps what it seals from everybody else; *secret.Ring is one.
type Sealer interface {
	Seal(context string, plaintext []byte) []byte
	Open(context string, sealed []byte) ([]byte, error)
}

// Link is what a token stands for.
type Link struct {
	OperatorID string
	MessageID  string
	Kind       waypost.Kind // one that can be unsubscribed from
	Address    string       // of the recipient, normalized
	Test       bool         // the mail went to the sandbox: its link changes nothing
}

// Links makes and reads links. Its zero value makes none.
type Links struct {
	Base   string // where people reach this server: "https://mail.example.com"
	Sealer Sealer
}

// Path is where the pages behind links are; the token follows.
const Path = "/u/"

const (
	sealContext = "unsubscribe"
	linkIDs     = 16 + 16     // operator and mail
	linkHead    = linkIDs + 1 // and the kind
	testFlag    = byte(0x80)  // beside the kind
	maxAddress  = 400         // bytes: 254 characters, in UTF-8 some more
	maxToken    = 45 + linkHead + maxAddress
)

// kinds are the kinds that tokens can be for. The place of each is in tokens, so it stays.
func kinds() []waypost.Kind {
	return []waypost.Kind{waypost.KindEvent, waypost.KindReport, waypost.KindOther}
}

// Works reports whether links can be made: mail programs heed those of TLS only (RFC 8058
// section 3.1).
func (l Links) Works() bool { return l.Sealer != nil && strings.HasPrefix(l.Base, "https://") }

// URL is the address of a link, "" if none can be made.
func (l Links) URL(to Link) string {
	token := l.Token(to)
	if token == "" || !l.Works() {
		return ""
	}
	return l.Base + Path + token
}

// Token writes the token of a link, "" for one of a kind that nobody unsubscribes from, or
// whose ids are none.
func (l Links) Token(to Link) string {
	operator, ok1 := waypost.ParseID(to.OperatorID)
	mail, ok2 := waypost.ParseID(to.MessageID)
	kind := -1
	for i, k := range kinds() {
		if k == to.Kind {
			kind = i
		}
	}
	if l.Sealer == nil || !ok1 || !ok2 || kind < 0 || to.Address == "" || len(to.Address) > maxAddress {
		return ""
	}
	flags := byte(kind)
	if to.Test {
		flags |= testFlag
	}
	text := make([]byte, 0, linkHead+len(to.Address))
	text = append(append(append(text, operator[:]...), mail[:]...), flags)
	return base64.RawURLEncoding.EncodeToString(l.Sealer.Seal(sealContext, append(text, to.Address...)))
}

// Read reads a token that was made here.
func (l Links) Read(token string) (Link, bool) {
	if l.Sealer == nil || len(token) > base64.RawURLEncoding.EncodedLen(maxToken) {
		return Link{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") { // which the decoder skips
		return Link{}, false
	}
	text, err := l.Sealer.Open(sealContext, sealed)
	if err != nil || len(text) <= linkHead {
		return Link{}, false
	}
	kind := int(text[linkIDs] &^ testFlag)
	if kind >= len(kinds()) {
		return Link{}, false
	}
	return Link{
		OperatorID: waypost.FormatID([16]byte(text[:16])), MessageID: waypost.FormatID([16]byte(text[16:linkIDs])),
		Kind: kinds()[kind], Test: text[linkIDs]&testFlag != 0, Address: string(text[linkHead:]),
	}, true
}

// Made reports whether the value of a List-Unsubscribe field has a link of this server: "it
// is ours" rather than the sender's own.
func (l Links) Made(field string) bool {
	if !l.Works() {
		return false
	}
	_, rest, ok := strings.Cut(field, "<"+l.Base+Path)
	if !ok {
		return false
	}
	token, _, _ := strings.Cut(rest, ">")
	_, ok = l.Read(token)
	return ok
}
