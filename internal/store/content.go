package store

import (
	"context"

	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// Content reads header and body of a message as stored at accept. The error is
// NotFound if the operator has no such message, NotFound with code content_erased if
// its content is gone, and Forbidden with code content_hidden for kind security,
// whose content is shown to nobody.
func (s *Store) Content(ctx context.Context, operatorID, messageID string) (header, body []byte, err error) {
	row, err := s.queries().Content(ctx, tenantsql.ContentParams{OperatorID: operatorID, ID: messageID})
	if err != nil {
		return nil, nil, one(err, "message")
	}
	if row.Kind == string(waypost.KindSecurity) {
		return nil, nil, waypost.NewError(waypost.Forbidden, "content_hidden", "the content of security mail is not shown")
	}
	if row.Erased != 0 {
		return nil, nil, waypost.NewError(waypost.NotFound, "content_erased", "the content has been erased")
	}
	return row.Header, row.Data, nil
}
