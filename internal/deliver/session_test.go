package deliver_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/deliver"
	"github.com/waypost/waypost/internal/mailtest"
	"github.com/waypost/waypost/internal/waypost"
)

func logins(fake *mailtest.SMTP) int {
	n := 0
	for _, c := range fake.Commands() {
		if strings.HasPrefix(c, "AUTH") {
			n++
		}
	}
	return n
}

func TestOneLoginCarriesManyMails(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{Users: users(), RequireAuth: true}, nil)
	w := newWorld(t, nil, nil)
	for range 20 {
		outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
	}
	if len(fake.Mails()) != 20 || logins(fake) != 1 {
		t.Errorf("%d mails with %d logins", len(fake.Mails()), logins(fake))
	}
}

func TestChangedSettingsNeverMeetAnOldSession(t *testing.T) {
	changes := map[string]func(*waypost.Relay){
		"password":  func(r *waypost.Relay) { r.Password = "changed" },
		"user name": func(r *waypost.Relay) { r.Username = "other" },
		"no login":  func(r *waypost.Relay) { r.Username, r.Password = "", "" },
		"security":  func(r *waypost.Relay) { r.Security = waypost.SecurityStartTLS },
		"trust":     func(r *waypost.Relay) { r.TrustAll = true },
		"host":      func(r *waypost.Relay) { r.Host = "localhost" },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			fake, r := relay(t, mailtest.Knobs{Users: users()}, nil)
			w := newWorld(t, nil, nil)
			outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
			changed := *r
			change(&changed)
			w.send(relayed(&changed, "someone@example.test"))
			if n := fake.Connections(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestOperatorsDoNotShareSessions(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{Users: users()}, nil)
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
	other := relayed(r, "someone@example.test")
	other.Account.ID = "other"
	outcomes(t, w.send(other), delivered)
	if n := fake.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestDeadKeptSessionIsReplacedWithoutHarm(t *testing.T) {
	for name, kill := range map[string]func(*mailtest.SMTP){
		"closed by the server": func(f *mailtest.SMTP) { f.Disconnect() },
		"421 instead of an answer": func(f *mailtest.SMTP) {
			f.Set(func(k *mailtest.Knobs) { k.MaxMails = 1 })
		},
		"closed at MAIL": func(f *mailtest.SMTP) {
			asked := 0
			f.Set(func(k *mailtest.Knobs) {
				k.MailFrom = func(string) mailtest.Answer {
					if asked++; asked == 1 {
						return mailtest.Answer{Close: true}
					}
					return mailtest.Answer{}
				}
			})
		},
		"silent at MAIL": func(f *mailtest.SMTP) {
			asked := 0
			f.Set(func(k *mailtest.Knobs) {
				k.MailFrom = func(string) mailtest.Answer {
					if asked++; asked == 1 {
						return mailtest.Answer{Hang: true}
					}
					return mailtest.Answer{}
				}
			})
		},
	} {
		for _, kind := range []waypost.RouteKind{waypost.RouteRelay, waypost.RouteDirect} {
			t.Run(name+", "+string(kind), func(t *testing.T) {
				t.Parallel()
				w, fake := mx(t, mailtest.Knobs{}, short(mailtest.Knobs{Mail: mailtest.Answer{Hang: name == "silent at MAIL"}}))
				send := func() []waypost.Attempt {
					if kind == waypost.RouteDirect {
						return w.send(direct("someone@example.test"))
					}
					return w.send(relayed(&waypost.Relay{Host: "127.0.0.1", Port: fake.Port()}, "someone@example.test"))
				}
				outcomes(t, send(), delivered)
				kill(fake)
				outcomes(t, send(), delivered)
				if len(fake.Dotted()) != 2 || fake.Connections() != 2 {
					t.Errorf("%d mails over %d connections", len(fake.Dotted()), fake.Connections())
				}
			})
		}
	}
}

func TestKeptSessionLostAfterTheDotIsUncertainToo(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{}, nil)
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
	fake.Set(func(k *mailtest.Knobs) { k.Dot = mailtest.Answer{Close: true} })
	outcomes(t, w.send(relayed(r, "someone@example.test")), uncertain)
	if len(fake.Dotted()) != 2 || fake.Connections() != 1 {
		t.Errorf("%d mails over %d connections", len(fake.Dotted()), fake.Connections())
	}
}

func TestMailsPerSession(t *testing.T) {
	for name, tt := range map[string]struct {
		knobs mailtest.Knobs
		mails int
	}{
		"ours":         {mailtest.Knobs{}, 3},
		"the server's": {mailtest.Knobs{Extensions: []string{"PIPELINING", "LIMITS MAILMAX=3"}}, 0},
		"refused mails count": {mailtest.Knobs{Extensions: []string{"LIMITS MAILMAX=3"}, RcptTo: func(to string) mailtest.Answer {
			return say("550 5.1.1 no such user")
		}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fake, r := relay(t, tt.knobs, nil)
			w := newWorld(t, nil, func(o *deliver.Options) { o.Mails = tt.mails })
			for range 7 {
				w.send(relayed(r, "someone@example.test"))
			}
			if n := fake.Connections(); n != 3 {
				t.Errorf("%d connections for 7 mails, want 3", n)
			}
		})
	}
}

func TestRefusedSessionIsNotKept(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{Mail: say("550 5.4.5 daily quota exceeded")}, nil)
	w := newWorld(t, nil, nil)
	outcomes(t, w.send(relayed(r, "someone@example.test")), routeDown)
	fake.Set(func(k *mailtest.Knobs) { k.Mail = mailtest.Answer{} })
	outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
	if n := fake.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestWhoMayNotLogInWaitsForASession(t *testing.T) {
	gate := make(chan struct{})
	fake, r := relay(t, mailtest.Knobs{Users: users(), Dot: mailtest.Answer{Gate: gate}}, nil)
	w := newWorld(t, nil, func(o *deliver.Options) { o.Logins = 1 })
	var wg sync.WaitGroup
	results := make([][]waypost.Attempt, 5)
	for n := range results {
		wg.Go(func() { results[n] = w.send(relayed(r, "someone@example.test")) })
	}
	fake.WaitDotted(t, 1)
	close(gate)
	wg.Wait()
	for _, got := range results {
		outcomes(t, got, delivered)
	}
	if logins(fake) != 1 || len(fake.Mails()) != 5 {
		t.Errorf("%d logins for %d mails", logins(fake), len(fake.Mails()))
	}
}

func TestWaitingForALoginCanBeInterrupted(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{Users: users(), Mail: say("451 4.3.0 later"), MaxMails: 1}, nil)
	w := newWorld(t, nil, func(o *deliver.Options) { o.Logins, o.Mails = 1, 1 })
	outcomes(t, w.send(relayed(r, "someone@example.test")), temporary)
	for _, watched := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		j := relayed(r, "someone@example.test")
		if watched {
			j.watch()
		}
		done := make(chan []waypost.Attempt)
		go func() { done <- w.sendCtx(ctx, j) }()
		cancel()
		outcomes(t, <-done, untried)
	}
	if logins(fake) != 1 {
		t.Errorf("%d logins", logins(fake))
	}
}

func TestServerWithoutLoginHasNoLoginLimit(t *testing.T) {
	fake, r := relay(t, mailtest.Knobs{MaxMails: 1}, nil)
	w := newWorld(t, nil, func(o *deliver.Options) { o.Logins, o.Mails = 1, 1 })
	for range 3 {
		outcomes(t, w.send(relayed(r, "someone@example.test")), delivered)
	}
	if n := fake.Connections(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func phases(steps []waypost.Step) []waypost.Phase {
	var out []waypost.Phase
	for _, s := range steps {
		out = append(out, s.Phase)
	}
	return slices.Compact(out)
}

func TestStepsOfATestMail(t *testing.T) {
	const (
		dns, connect, greet, hello = waypost.PhaseDNS, waypost.PhaseConnect, waypost.PhaseGreet, waypost.PhaseHello
		stls, auth                 = waypost.PhaseTLS, waypost.PhaseAuth
		mail, rcpt, data, dot      = waypost.PhaseMail, waypost.PhaseRcpt, waypost.PhaseData, waypost.PhaseDot
	)
	w, host := mx(t, mailtest.Knobs{TLS: true}, nil)
	for name, tt := range map[string]struct {
		job   *job
		knobs mailtest.Knobs
		want  []waypost.Phase
		ok    bool
	}{
		"direct": {job: direct("someone@example.test"), ok: true, want: []waypost.Phase{dns, connect, greet, hello, stls, hello, mail, rcpt, data, dot}},
		"relay": {
			knobs: mailtest.Knobs{TLS: true, Users: users()}, ok: true,
			want: []waypost.Phase{dns, connect, greet, hello, stls, hello, auth, mail, rcpt, data, dot},
		},
		"relay that refuses the login": {
			knobs: mailtest.Knobs{TLS: true, Users: map[string]string{"op": "another"}},
			want:  []waypost.Phase{dns, connect, greet, hello, stls, hello, auth},
		},
		"relay that refuses the recipient": {
			knobs: mailtest.Knobs{TLS: true, Users: users(), Rcpt: say("550 5.1.1 no")},
			want:  []waypost.Phase{dns, connect, greet, hello, stls, hello, auth, mail, rcpt},
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := tt.job
			if j == nil {
				fake, r := relay(t, tt.knobs, func(r *waypost.Relay) { r.Security, r.TrustAll = waypost.SecurityStartTLS, true })
				j = relayed(r, "someone@example.test")
				_ = fake
			}
			w.send(j.watch())
			got := phases(j.steps)
			if len(got) < len(tt.want) || !slices.Equal(got[:len(tt.want)], tt.want) {
				t.Errorf("steps %v\nwant  %v", got, tt.want)
			}
			bad := slices.IndexFunc(j.steps, func(s waypost.Step) bool { return !s.OK })
			if (bad < 0) != tt.ok {
				t.Errorf("step %d is not OK: %+v", bad, j.steps)
			}
			if bad >= 0 && j.steps[bad].Reply == "" {
				t.Errorf("no words of the server: %+v", j.steps[bad])
			}
		})
	}
	_ = host
}

// A session that was made for who watches carries nobody else's mail: its steps would
// be shown to the wrong one.
func TestWatchedSessionsAreNotShared(t *testing.T) {
	w, host := mx(t, mailtest.Knobs{}, nil)
	own := &waypost.Relay{Host: "127.0.0.1", Port: host.Port()}
	for _, make := range []func() *job{
		func() *job { return direct("someone@example.test") },
		func() *job { return relayed(own, "someone@example.test") },
	} {
		before := host.Connections()
		watched := make().watch()
		outcomes(t, w.send(watched), delivered)
		seen := len(watched.steps)
		outcomes(t, w.send(make()), delivered)
		outcomes(t, w.send(make().watch()), delivered)
		if len(watched.steps) != seen {
			t.Errorf("somebody else's mail was shown: %+v", watched.steps[seen:])
		}
		if n := host.Connections() - before; n != 3 {
			t.Errorf("%d connections, want one for each", n)
		}
	}
}

func TestPasswordNeverShows(t *testing.T) {
	const password = "s3cret-Pässword/42"
	forms := []string{
		password, base64.StdEncoding.EncodeToString([]byte(password)), base64.StdEncoding.EncodeToString([]byte("\x00op\x00" + password)),
		fmt.Sprintf("%q", password), strings.Trim(fmt.Sprintf("%+q", password), `"`),
	}
	echo := "535 5.7.8 I do not like " + password + ", nor " + forms[1] + ", nor " + forms[2]
	right := map[string]string{"op": password}
	for name, knobs := range map[string]mailtest.Knobs{
		"accepted":                     {Users: right},
		"refused":                      {Users: map[string]string{"op": "x"}},
		"refused, LOGIN":               {Users: map[string]string{"op": "x"}, Mechanisms: []string{"LOGIN"}},
		"refused, CRAM-MD5":            {Users: map[string]string{"op": "x"}, Mechanisms: []string{"CRAM-MD5"}},
		"no mechanism":                 {Users: right, Mechanisms: []string{"NTLM"}},
		"repeated by the server":       {Users: right, Auth: say(echo)},
		"repeated over several lines":  {Users: right, Auth: say("535 5.7.8 no\n535 5.7.8 " + password + "\n535 5.7.8 end")},
		"repeated later":               {Users: right, Mail: say("550 5.7.1 " + password)},
		"repeated for a recipient":     {Users: right, Rcpt: say("550 5.1.1 " + forms[2])},
		"repeated after the dot":       {Users: right, Dot: say("250 2.0.0 " + forms[1])},
		"repeated as a challenge":      {Users: right, Auth: mailtest.Answer{Raw: "334 " + password + "\r\n"}},
		"closed":                       {Users: right, Auth: mailtest.Answer{Close: true}},
		"silent":                       {Users: right, Auth: mailtest.Answer{Hang: true}},
		"nonsense with the password":   {Users: right, Auth: mailtest.Answer{Raw: password + "\r\n"}},
		"endless with the password":    {Users: right, Auth: mailtest.Answer{Raw: strings.Repeat("535-"+forms[1]+" "+password+"\r\n", 2000)}},
		"STARTTLS that is not offered": {Users: right},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			knobs.Lenient = true
			_, r := relay(t, knobs, func(r *waypost.Relay) { r.Password = password })
			if strings.HasPrefix(name, "STARTTLS") {
				r.Security = waypost.SecurityStartTLS
			}
			w := newWorld(t, nil, short(knobs))
			j := relayed(r, "someone@example.test").watch()
			w.send(j)
			unwatched := relayed(r, "someone@example.test")
			w.send(unwatched)
			everything := fmt.Sprintf("%+v %#v %+v %#v %+v %s", j.attempts, j.attempts, j.steps, j.steps, unwatched.attempts, w.log)
			for _, form := range forms {
				if strings.Contains(everything, form) {
					t.Errorf("%q is in %s", form, everything)
				}
			}
			if len(j.attempts[0].Outcome) == 0 || len(j.steps) == 0 {
				t.Error("nothing was reported at all")
			}
		})
	}
}

func TestConcurrentJobs(t *testing.T) {
	w, fake := mx(t, mailtest.Knobs{TLS: true}, func(o *deliver.Options) { o.Mails = 7 })
	own := &waypost.Relay{Host: "127.0.0.1", Port: fake.Port()}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 10 {
				if n%2 == 0 {
					outcomes(t, w.send(direct(recipients(3)...)), delivered, delivered, delivered)
				} else {
					outcomes(t, w.send(relayed(own, recipients(3)...)), delivered, delivered, delivered)
				}
			}
		})
	}
	wg.Wait()
	if n := len(fake.Mails()); n != 4*10*3+4*10 {
		t.Errorf("%d mails", n)
	}
}
