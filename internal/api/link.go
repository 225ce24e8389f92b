package api

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// How many days a link works: if it does not say, and at most.
const (
	defaultLinkDays = 7
	maxLinkDays     = 30
)

type linkDomainInput struct {
	ByID
	Body *newLink
}

// newLink is a link to make.
type newLink struct {
	Days *int `json:"days,omitempty" doc:"How long it works, 1 to 30; 7 if left out."`
}

// link is a link to a domain's page.
type link struct {
	URL       string `json:"url" doc:"Whoever has it sees the page."`
	ExpiresAt string `json:"expires_at" format:"date-time"`
}

func (s *server) linkDomain(ctx context.Context, c *caller, in *linkDomainInput) (*answer[link], error) {
	d, err := s.Store.Domain(ctx, c.operator(), in.ID)
	if err != nil {
		return nil, err
	}
	days := defaultLinkDays
	if in.Body != nil && in.Body.Days != nil {
		days = *in.Body.Days
	}
	if days < 1 || days > maxLinkDays {
		return nil, waypost.FieldError("days", "1 to 30")
	}
	expires := time.Now().AddDate(0, 0, days).Truncate(time.Second)
	token, ok := s.LinkKeys.Token(verify.Link{OperatorID: c.operator(), DomainID: d.ID, Expires: expires})
	if !ok {
		return nil, waypost.NewError(waypost.NotFound, "not_found", "no such domain")
	}
	return &answer[link]{link{URL: c.base + "/dns/" + token, ExpiresAt: stamp(expires)}}, nil
}
