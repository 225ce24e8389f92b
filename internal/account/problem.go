package account

import (
	"strings"

	"github.com/waypost/waypost/internal/waypost"
)

// Problems are all fields of a request that are wrong, at least one. Its kind, to
// waypost.KindOf and waypost.AsError, is that of the first.
type Problems []*waypost.Error

// Error joins the messages, each after its field.
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, e := range p {
		texts[i] = e.Field + ": " + e.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap makes each problem reachable by errors.Is and errors.As.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, e := range p {
		errs[i] = e
	}
	return errs
}

func (p *Problems) add(field, message string) { *p = append(*p, waypost.FieldError(field, message)) }

// err is nil if there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
