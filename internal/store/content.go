package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost/internal/store/segment"
	"github.com/waypost/waypost/internal/store/tenantsql"
	"github.com/waypost/waypost/internal/waypost"
)

// ContentSize is how many bytes Content would read, about. The error is NotFound if the
// operator has no such message.
func (s *Store) ContentSize(ctx context.Context, operatorID, messageID string) (int64, error) {
	size, err := s.queries().MessageSize(ctx, tenantsql.MessageSizeParams{OperatorID: operatorID, ID: messageID})
	return size, one(err, "message")
}

// Content reads header and body of a message as stored at accept. The error is
// NotFound if the operator has no such message, NotFound with code content_erased if
// its content is gone, and Forbidden with code content_hidden for kind security,
// whose content is shown to nobody.
func (s *Store) Content(ctx context.Context, operatorID, messageID string) (header, body []byte, err error) {
	header, body, err = s.content(ctx, operatorID, messageID)
	if errors.Is(err, segment.ErrDamaged) {
		// It may have been erased between the row and the file; then the row says so now.
		return s.content(ctx, operatorID, messageID)
	}
	return header, body, err
}

func (s *Store) content(ctx context.Context, operatorID, messageID string) (header, body []byte, err error) {
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
	body, err = ReadBody(s.engine, row.Data, segment.Ref{File: row.File, At: row.FileAt, Size: row.FileSize, Sum: row.FileSum})
	if err != nil {
		return nil, nil, fmt.Errorf("read body: %w", err)
	}
	return row.Header, body, nil
}
