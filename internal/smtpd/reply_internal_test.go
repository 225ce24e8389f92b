package smtpd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestReplyForMapsEveryKind(t *testing.T) {
	type e = waypost.Error
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&e{Kind: waypost.Invalid}, "554 5.6.0"},
		{&e{Kind: waypost.Invalid, SMTP: "5.6.11"}, "550 5.6.11"},
		{&e{Kind: waypost.Invalid, SMTP: "5.4.6"}, "554 5.4.6"},
		{&e{Kind: waypost.Invalid, SMTP: "5.7.1"}, "550 5.7.1"},
		{&e{Kind: waypost.Invalid, SMTP: "4.7.1"}, "554 5.6.0"},
		{&e{Kind: waypost.Unauthenticated}, "535 5.7.8"},
		{&e{Kind: waypost.Forbidden}, "550 5.7.1"},
		{&e{Kind: waypost.NotFound}, "550 5.7.1"},
		{&e{Kind: waypost.Conflict}, "554 5.6.0"},
		{&e{Kind: waypost.TooLarge}, "552 5.3.4"},
		{&e{Kind: waypost.RateLimited}, "451 4.7.1"},
		{&e{Kind: waypost.RateLimited, SMTP: "5.7.1"}, "451 4.7.1"},
		{&e{Kind: waypost.RateLimited, SMTP: "4.7.28"}, "451 4.7.28"},
		{&e{Kind: waypost.NoGateway}, "451 4.3.5"},
		{&e{Kind: waypost.StorageFull}, "452 4.3.1"},
		{&e{Kind: waypost.Unavailable}, "421 4.3.2"},
		{&e{Kind: waypost.Internal}, "451 4.3.0"},
		{fmt.Errorf("wrapped: %w", &e{Kind: waypost.NoGateway}), "451 4.3.5"},
		{errors.New("secret detail"), "451 4.3.0"},
	} {
		r := replyFor(tc.err)
		if got := fmt.Sprint(r.code, " ", r.enhanced); got != tc.want {
			t.Errorf("%+v: got %s, want %s", tc.err, got, tc.want)
		}
		if strings.Contains(r.text, "secret") || r.text == "" {
			t.Errorf("%v: text %q", tc.err, r.text)
		}
	}
	if got := replyFor(&e{Kind: waypost.Invalid, Message: "a\r\n250 ok \xff" + strings.Repeat("x", 1000)}).text; len(got) > maxReplyText || strings.Trim(got, "a?250 okx") != "" {
		t.Errorf("text %q", got)
	}
}
