package message

import "github.com/waypost/waypost/internal/waypost"

// Again returns the header block of an accepted mail for handing it over once more: without
// what belongs to one passage only (trace, id, date), so that the copy is a mail of its own
// that no server takes for one it has, and without signatures, which covered that. With to
// the mail says that it is for that address and nobody else; "" keeps To and Cc.
func Again(block []byte, to string) ([]byte, error) {
	h := readHeader(block)
	h.Del("Received", "Message-ID", "Date", "DKIM-Signature", "DomainKey-Signature")
	h.delPrefix("ARC-")
	if to != "" {
		h.Del("Cc")
		if err := h.Set("To", FormatAddress(waypost.Address{Email: to})); err != nil {
			return nil, err
		}
	}
	return h.Bytes(), nil
}
