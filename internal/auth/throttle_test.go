package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func TestHashesAreBoundedInNumber(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	release := p.OccupyHashes(t.Context())
	var wait sync.WaitGroup
	var busy atomic.Int32
	const more = 20
	for i := range auth.MaxWaiting + more {
		wait.Go(func() {
			_, err := p.SignIn(t.Context(), fmt.Sprint("nobody", i), good, fmt.Sprintf("203.0.113.%d", i), "")
			if waypost.KindOf(err) == waypost.Unavailable && busy.Add(1) == more+1 { // the slot is ours
				release()
			}
		})
	}
	wait.Wait()
	if n := busy.Load(); n != more+1 {
		t.Errorf("%d were sent away", n)
	}
	p.signIn(t, "ann", home)
}

func TestGuessingIsThrottledAndLocksNobodyOut(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	p.signIn(t, "ann", home)
	guess := func(login string, i int) error {
		_, err := p.SignIn(t.Context(), login, "guess", fmt.Sprintf("2001:db8:%x::1", i), "")
		return err
	}
	// From everywhere about one login, known or not.
	for _, login := range []string{"ann", "nobody"} {
		for i := range 10 {
			wantNotSignedIn(t, guess(login, i))
		}
		for i := range 5 {
			p.calls.take()
			wantCode(t, guess(login, 100+i), waypost.RateLimited, "too_many_tries")
			if diff := cmp.Diff([]string{"UserByLogin", "SessionPeers"}, p.calls.take()); diff != "" {
				t.Error(diff)
			}
		}
	}
	_, err := p.SignIn(t.Context(), "ann", good, away, "") // right, but from a stranger's address
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	// The user comes in from where it was before, also after the last session ended, and
	// also to a process that has just started and is attacked as well.
	if _, err := p.RevokeSessions(t.Context(), waypost.CommandLine(), "", u.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SignIn(t.Context(), "ann", "mistyped", home, ""); err == nil {
		t.Error("signed in with a wrong password")
	}
	p.signIn(t, "ann", home)
	for i := range 30 {
		_ = guess("ann", i)
	}
	// Its own mistakes are counted, too.
	for range 11 {
		_, err = p.SignIn(t.Context(), "ann", "mistyped", home, "")
	}
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	p.pass(time.Minute)
	p.signIn(t, "ann", home)

	p.Wait()
	entries := p.recorded(t, waypost.PlatformOperatorID, "user.sign_in_failed")
	if len(entries) < 1 || len(entries) > 2 || entries[0].Target != "ann" || entries[0].Actor.ID != "policy" || entries[0].Actor.Peer == "" {
		t.Error("recorded:", entries)
	}
}

func TestOneNetworkTriesSoManyLogins(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	var err error
	for i := range 30 {
		_, err = p.SignIn(t.Context(), fmt.Sprint("nobody", i), "guess", fmt.Sprintf("2001:db8::%x", i), "")
		wantNotSignedIn(t, err)
	}
	_, err = p.SignIn(t.Context(), "ann", good, "2001:db8::1234", "")
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	_, err = p.SecondStep(t.Context(), "x", "1", "2001:db8::1234", "")
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	p.signIn(t, "ann", "2001:db8:0:1::1234") // another network
	p.pass(5 * time.Second)
	p.signIn(t, "ann", "2001:db8::1234")
}

func TestOneSiteTriesSoManyLogins(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	p.signIn(t, "ann", "2001:db8:0:ffff::7")
	var err error
	for i := range 119 { // of one /48, each from a /64 of its own
		_, err = p.SignIn(t.Context(), fmt.Sprint("nobody", i), "guess", fmt.Sprintf("2001:db8:0:%x::1", i), "")
		wantNotSignedIn(t, err)
	}
	p.calls.take()
	for _, login := range []string{"ann", "nobody"} {
		_, err = p.SignIn(t.Context(), login, good, "2001:db8:0:eeee::1", "")
		wantCode(t, err, waypost.RateLimited, "too_many_tries")
		if diff := cmp.Diff([]string{"UserByLogin", "SessionPeers"}, p.calls.take()); diff != "" {
			t.Error(diff)
		}
	}
	p.signIn(t, "ann", "2001:db8:0:ffff::8") // a neighbor who was here before
	p.signIn(t, "ann", "2001:db8:1::1")      // another site
	for i := range 200 {                     // nothing is known of the holders of addresses
		_, err = p.SignIn(t.Context(), fmt.Sprint("nobody", i), "guess", fmt.Sprintf("192.0.2.%d", i), "")
		wantNotSignedIn(t, err)
	}
	p.pass(5 * time.Second)
	p.signIn(t, "ann", "2001:db8:0:eeee::1")
}

func TestOneSiteAsksForSoManyResets(t *testing.T) {
	p := newPeople(t)
	for i := range 40 {
		if _, err := p.RequestReset(t.Context(), "nobody", fmt.Sprintf("2001:db8:0:%x::1", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.RequestReset(t.Context(), "nobody", "2001:db8:0:ffff::1")
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	if _, err := p.RequestReset(t.Context(), "nobody", "2001:db8:1::1"); err != nil {
		t.Error("another site:", err)
	}
}

func TestStrangersDoNotKeepKnownPeopleFromTheirHash(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	_, s := p.signIn(t, "ann", home)
	release := p.OccupyHashes(t.Context()) // however many strangers wait behind it
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := p.SignIn(ctx, "ann", good, home, ""); err != nil {
		t.Error("from where it was before:", err)
	}
	if err := p.VerifyPassword(ctx, s, good); err != nil {
		t.Error("signed in:", err)
	}
	waiting, stop := context.WithCancel(t.Context())
	stop()
	for login, peer := range map[string]string{"ann": away, "nobody": home} {
		if _, err := p.SignIn(waiting, login, good, peer, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%s does not wait: %v", login, err)
		}
	}
}

func TestThrottlesAreBoundedInMemory(t *testing.T) {
	p := newPeople(t)
	for i := range auth.MaxBuckets + 500 {
		_, err := p.SecondStep(t.Context(), "x", "1", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "")
		wantCode(t, err, waypost.Unauthenticated, "sign_in_expired")
	}
	if n := p.Throttled(); n > auth.MaxBuckets {
		t.Error(n, "keys are remembered")
	}
}
