package smtpc_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/smtpc"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	user     = "user@client.test"
	password = "correct horse\tbattery <staple>"
)

func users() map[string]string { return map[string]string{user: password} }

// leaks reports in which form text gives the password away, "" if in none.
func leaks(text string) string {
	for name, secret := range map[string]string{
		"clear":       password,
		"part":        "battery",
		"base64":      base64.RawStdEncoding.EncodeToString([]byte(password)),
		"PLAIN":       base64.RawStdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password)),
		"PLAIN, part": base64.RawStdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))[20:40],
	} {
		if strings.Contains(text, secret) {
			return name
		}
	}
	return ""
}

func TestLogin(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		knobs mailtest.Knobs
		tls   bool
		want  []string // AUTH commands
	}{
		"PLAIN first in TLS":         {mailtest.Knobs{Mechanisms: []string{"CRAM-MD5", "LOGIN", "PLAIN"}}, true, []string{"AUTH PLAIN"}},
		"CRAM-MD5 first in the open": {mailtest.Knobs{Mechanisms: []string{"PLAIN", "LOGIN", "CRAM-MD5"}}, false, []string{"AUTH CRAM-MD5"}},
		"LOGIN only":                 {mailtest.Knobs{Mechanisms: []string{"NTLM", "LOGIN"}}, true, []string{"AUTH LOGIN"}},
		"PLAIN only":                 {mailtest.Knobs{Mechanisms: []string{"PLAIN"}}, false, []string{"AUTH PLAIN"}},
		"old form":                   {mailtest.Knobs{OldAuth: true, Mechanisms: []string{"LOGIN"}}, false, []string{"AUTH LOGIN"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := tt.knobs
			k.TLS, k.Users, k.RequireAuth = true, users(), true
			fake := mailtest.StartSMTP(t, k)
			var tr trace
			s := open(t, fake, smtpc.Options{Step: tr.add})
			if tt.tls {
				must(t, s.StartTLS(t.Context(), insecure()))
			}
			must(t, s.Auth(t.Context(), user, password))
			_, err := s.Send(t.Context(), letter("x@mx.test"))
			must(t, err)
			if got := fake.Mails(); len(got) != 1 || got[0].AuthUser != user {
				t.Errorf("got %+v", got)
			}
			if diff := cmp.Diff(tt.want, auths(fake)); diff != "" {
				t.Error(diff)
			}
			if form := leaks(tr.text()); form != "" {
				t.Errorf("the trace shows the password (%s):\n%s", form, tr.text())
			}
		})
	}
}

func auths(fake *mailtest.SMTP) []string {
	var got []string
	for _, c := range fake.Commands() {
		if strings.HasPrefix(c, "AUTH") {
			got = append(got, c)
		}
	}
	return got
}

func TestRefusedLoginIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"535 5.7.8 no", "534 5.7.9 weak", "454 4.7.0 later", "501 5.5.2 what"} {
		fake := mailtest.StartSMTP(t, mailtest.Knobs{Users: users(), Mechanisms: []string{"PLAIN", "LOGIN", "CRAM-MD5"}, Auth: mailtest.Answer{Reply: reply}})
		s := open(t, fake, smtpc.Options{})
		e := broken(t, s.Auth(t.Context(), user, password), waypost.PhaseAuth)
		if e.Reply.String() != reply || len(auths(fake)) != 1 {
			t.Errorf("got %v after %q", e, auths(fake))
		}
	}
}

func TestUnknownMechanismGoesToTheNext(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Users: users(), Auth: mailtest.Answer{Reply: "504 5.5.4 unknown"}})
	s := open(t, fake, smtpc.Options{})
	e := broken(t, s.Auth(t.Context(), user, password), waypost.PhaseAuth)
	if diff := cmp.Diff([]string{"AUTH PLAIN", "AUTH LOGIN"}, auths(fake)); diff != "" || e.Reply.Code != 504 {
		t.Errorf("%v %s", e, diff)
	}
}

func TestLoginThatCannotBegin(t *testing.T) {
	t.Parallel()
	fake := mailtest.StartSMTP(t, mailtest.Knobs{Users: users(), Mechanisms: []string{"NTLM", "XOAUTH2"}})
	s := open(t, fake, smtpc.Options{})
	if e := broken(t, s.Auth(t.Context(), user, password), waypost.PhaseAuth); !errors.Is(e, smtpc.ErrNoMechanism) {
		t.Errorf("got %v", e)
	}
	for _, pw := range []string{"", "a\x00b"} {
		if e := broken(t, s.Auth(t.Context(), user, pw), waypost.PhaseAuth); !errors.Is(e, smtpc.ErrCredentials) {
			t.Errorf("got %v", e)
		}
	}
	if !s.Usable() || len(auths(fake)) != 0 {
		t.Error("the session should not have noticed")
	}
}

func TestPasswordRepeatedByTheServerIsHidden(t *testing.T) {
	t.Parallel()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	encoded := base64.StdEncoding.EncodeToString([]byte(password))
	echoes := []string{
		"535 5.7.8 no such login: " + password,
		"535 5.7.8 " + plain + " is wrong",
		"535-5.7.8 " + encoded + "\n535 5.7.8 " + password,
		"334 " + encoded,
		"334 " + base64.StdEncoding.EncodeToString([]byte("your password is "+password)),
		"501 " + strings.Repeat("x", 2040) + plain, // cut in the middle of it
		"535 5.7.8 " + strings.ReplaceAll(password, "tt", "t\x00t"),
		"535 5.7.8 " + strings.ReplaceAll(password, "tt", "t\u200b\x1b\u202et"),
		"535 5.7.8 " + strings.ReplaceAll(plain, "5", "\x075\x7f"),
	}
	for i, echo := range echoes {
		for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
			t.Run(fmt.Sprintf("%d %s", i, mech), func(t *testing.T) {
				t.Parallel()
				fake := mailtest.StartSMTP(t, mailtest.Knobs{
					Users: users(), Mechanisms: []string{mech}, Lenient: true, // what follows a 334 is no command
					Auth: mailtest.Answer{Reply: echo},
					Mail: mailtest.Answer{Reply: "550 AUTH came with " + plain},
				})
				var tr trace
				s := open(t, fake, smtpc.Options{Step: tr.add})
				err := s.Auth(t.Context(), user, password)
				broken(t, err, waypost.PhaseAuth)
				if form := leaks(fmt.Sprintf("%v %+v", err, err)); form != "" {
					t.Errorf("the error shows the password (%s): %v", form, err)
				}
				if res, err := s.Send(t.Context(), letter("x@mx.test")); leaks(fmt.Sprint(outcome(res), err)) != "" {
					t.Errorf("the result shows the password: %q, %v", outcome(res), err)
				}
				if form := leaks(tr.text()); form != "" {
					t.Errorf("the trace shows the password (%s):\n%s", form, tr.text())
				}
			})
		}
	}
}

func TestServerThatNeverStopsAskingIsCancelled(t *testing.T) {
	t.Parallel()
	for mech, most := range map[string]int{"PLAIN": 0, "LOGIN": 3, "CRAM-MD5": 3} {
		for name, challenges := range map[string]int{"many": 1000, "endless": -1} {
			t.Run(mech+" "+name, func(t *testing.T) {
				t.Parallel()
				fake := mailtest.StartSMTP(t, mailtest.Knobs{Users: users(), Mechanisms: []string{mech}, Challenges: challenges})
				var tr trace
				s := open(t, fake, smtpc.Options{Step: tr.add})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // or it would fail by never ending
				defer cancel()
				e := broken(t, s.Auth(ctx, user, password), waypost.PhaseAuth)
				if !errors.Is(e, smtpc.ErrChallenge) {
					t.Errorf("got %v", e)
				}
				answers := strings.Count(tr.text(), "auth | *** |")
				if answers > most || !slices.Contains(fake.Commands(), "*") {
					t.Errorf("%d answers, cancelled: %v", answers, slices.Contains(fake.Commands(), "*"))
				}
				// Who obeys the "*" may go on; who asks on has lost its place.
				if s.Usable() != (challenges > 0) {
					t.Errorf("usable: %v", s.Usable())
				}
			})
		}
	}
}
