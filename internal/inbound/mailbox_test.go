package inbound

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

// kept is a mailbox and what it has kept.
type kept struct {
	*Mailbox
	to   []string
	fail error
}

func newMailbox(z zones) *kept {
	k := &kept{}
	k.Mailbox = New(Options{
		Tests:      NewTests("bounce.platform.test", &Judge{Hostname: "mx.test", Resolver: z}),
		ReturnPath: route.ReturnPath{Domain: "bounce.platform.test", Key: []byte("a key")},
		Domains:    []string{"bounce.platform.test", "platform.test"},
		Keep: func(_ context.Context, to string, _ Arrival) error {
			k.to = append(k.to, to)
			return k.fail
		},
	})
	return k
}

func local(test *Test) string {
	l, _ := split(test.Address)
	return l
}

func TestRecipientTakesRolesAndTestAddresses(t *testing.T) {
	m := newMailbox(zones{})
	test := m.Tests.New(time.Now())
	for address, want := range map[string]string{
		"postmaster":                                      "",
		"PostMaster@Platform.TEST":                        "",
		"abuse@bounce.platform.test":                      "",
		test.Address:                                      "",
		strings.ToUpper(test.Address):                     "",
		"someone@platform.test":                           "5.1.1",
		"abuse":                                           "5.7.1",
		local(test) + "@platform.test":                    "5.1.1",
		local(test) + "x@bounce.platform.test":            "5.1.1",
		test.Address[:20] + "@bounce.platform.test":       "5.1.1",
		"test-@bounce.platform.test":                      "5.1.1",
		"test-aaaaaaaaaaaaaaaa@bounce.platform.test":      "5.1.1",
		"postmaster@other.test":                           "5.7.1",
		local(test) + "@other.test":                       "5.7.1",
		"postmaster@platform.test.other.test":             "5.7.1",
		"postmaster@xplatform.test":                       "5.7.1",
		"a@other.test@platform.test":                      "5.1.1",
		`"postmaster@platform.test"@other.test`:           "5.7.1",
		"\"" + local(test) + "\"@bounce.platform.test":    "5.1.1",
		strings.Repeat("a", 1000) + "@platform.test":      "5.1.1",
		"\u017fomeone@platform.test":                      "5.1.1",
		"po\u017ftmaster@bounce.platform.test.other.test": "5.7.1",
	} {
		err := m.Recipient(t.Context(), address, nil)
		got := ""
		if err != nil {
			got = waypost.AsError(err).SMTP
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestATestAddressIsGoodOnceAndForATime(t *testing.T) {
	m := newMailbox(zones{})
	now := time.Now()
	test := m.Tests.New(now)
	if test.Address != strings.ToLower(test.Address) || !strings.HasSuffix(test.Address, "@bounce.platform.test") || len(local(test)) != 21 {
		t.Errorf("%q", test.Address)
	}
	if !m.Tests.waits(local(test), now.Add(testLife)) || m.Tests.waits(local(test), now.Add(testLife+1)) || m.Tests.take(local(test), now.Add(testLife+1)) != nil {
		t.Error("it does not end when it should")
	}
	a := arrival(plainMail)
	a.At = now.Add(3 * time.Second)
	if err := m.Receive(t.Context(), []string{strings.ToUpper(test.Address)}, a); err != nil {
		t.Fatal(err)
	}
	if v := <-test.Arrived(); v.Latency != 3*time.Second || v.From != "alarm@sender.test" {
		t.Errorf("%+v", v)
	}
	if m.Recipient(t.Context(), test.Address, nil) == nil {
		t.Error("it is taken twice")
	}
	if err := m.Receive(t.Context(), []string{test.Address}, a); err != nil { // it went between RCPT and the dot
		t.Error(err)
	}
	select {
	case v := <-test.Arrived():
		t.Errorf("judged twice: %+v", v)
	default:
	}
}

func TestTestAddressesAreBoundedAndMakeRoom(t *testing.T) {
	m := newMailbox(zones{})
	now := time.Now()
	seen := map[string]bool{}
	for range maxTests {
		test := m.Tests.New(now)
		if test == nil || seen[test.Address] {
			t.Fatal("not made")
		}
		seen[test.Address] = true
	}
	if m.Tests.New(now.Add(testLife)) != nil {
		t.Error("there are more than there may be")
	}
	if m.Tests.New(now.Add(testLife+1)) == nil {
		t.Error("old ones take room")
	}
	if n := len(m.Tests.tests); n != 1 {
		t.Errorf("%d are left", n)
	}
}

func TestTwoWaitAndEachGetsItsOwn(t *testing.T) {
	m := newMailbox(zones{})
	one, two := m.Tests.New(time.Now()), m.Tests.New(time.Now())
	var all sync.WaitGroup
	for from, test := range map[string]*Test{"one@sender.test": one, "two@sender.test": two} {
		all.Go(func() {
			if err := m.Receive(t.Context(), []string{test.Address}, arrival("From: "+from+"\r\n\r\nbody\r\n")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if a, b := <-one.Arrived(), <-two.Arrived(); a.From != "one@sender.test" || b.From != "two@sender.test" {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestAMessageForManyIsJudgedOnceAndKeptOnce(t *testing.T) {
	m := newMailbox(zones{})
	a := arrival(plainMail)
	var asked atomic.Int64
	m.Tests.judge.Resolver = counter{zones{}, &asked}
	m.Tests.judge.Judge(t.Context(), a)
	once := asked.Load()
	recipients := []string{"abuse@platform.test", "ABUSE@platform.test", "postmaster"}
	var waiting []*Test
	for range 50 {
		test := m.Tests.New(time.Now())
		waiting = append(waiting, test)
		recipients = append(recipients, test.Address, strings.ToUpper(test.Address))
	}
	asked.Store(0)
	if err := m.Receive(t.Context(), recipients, a); err != nil {
		t.Fatal(err)
	}
	for _, test := range waiting {
		if v := <-test.Arrived(); v.From != "alarm@sender.test" {
			t.Errorf("%+v", v)
		}
	}
	if n := asked.Load(); n != once {
		t.Errorf("%d questions, one judgement takes %d", n, once)
	}
	if !slices.Equal(m.to, []string{"abuse@platform.test"}) {
		t.Errorf("kept for %v", m.to)
	}
}

func TestAMailThatCannotBeKeptLeavesTheTestAddressForTheNextTry(t *testing.T) {
	m := newMailbox(zones{})
	test := m.Tests.New(time.Now())
	recipients := []string{test.Address, "postmaster@platform.test"}
	m.fail = errors.New("disk full")
	if err := m.Receive(t.Context(), recipients, arrival(plainMail)); !errors.Is(err, m.fail) {
		t.Fatalf("%v", err)
	}
	if err := m.Recipient(t.Context(), test.Address, nil); err != nil {
		t.Errorf("the address is used up: %v", err)
	}
	m.fail = nil
	if err := m.Receive(t.Context(), recipients, arrival(plainMail)); err != nil {
		t.Fatal(err)
	}
	if v := <-test.Arrived(); v.From == "" {
		t.Errorf("%+v", v)
	}
}

func TestJudgingEndsInTimeAndWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMailbox(zones{"TXT _dmarc.sender.test": {"hang"}})
		begun := time.Now()
		test := m.Tests.New(begun)
		if err := m.Receive(t.Context(), []string{test.Address}, arrival(plainMail)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != judgeTime {
			t.Errorf("took %v", took)
		}
		if v := <-test.Arrived(); v.DMARC.Result != "temperror" {
			t.Errorf("%+v", v)
		}

		// Four at a time; the rest waits, and is sent away with a temporary error.
		ctx, stop := context.WithCancel(t.Context())
		results := make(chan error, maxAtOnce+1)
		for range maxAtOnce {
			go func() { results <- m.Receive(ctx, []string{m.Tests.New(time.Now()).Address}, arrival(plainMail)) }()
		}
		synctest.Wait()
		late := m.Tests.New(time.Now())
		go func() { results <- m.Receive(ctx, []string{late.Address}, arrival(plainMail)) }()
		synctest.Wait()
		begun = time.Now()
		stop()
		temporary := 0
		for range maxAtOnce + 1 {
			if err := <-results; waypost.KindOf(err) == waypost.Unavailable {
				temporary++
			} else if err != nil {
				t.Error(err)
			}
		}
		if temporary != 1 || time.Since(begun) > time.Second || !m.Tests.waits(local(late), time.Now()) {
			t.Errorf("%d are to come again, after %v", temporary, time.Since(begun))
		}
	})
}
