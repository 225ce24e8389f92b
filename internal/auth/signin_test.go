package auth_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func TestALoginHasOneForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ \tA-Za-z0-9._@+\-ＡｚKſıİ\x{200b}\x{ad}é/]{0,12}`)).Draw(t, "text")
		login, ok := auth.NormalizeLogin(text)
		if !ok {
			if login != "" {
				t.Fatalf("%q is refused and returned as %q", text, login)
			}
			return
		}
		if strings.Trim(login, "abcdefghijklmnopqrstuvwxyz0123456789._-@+") != "" || len(login) > 100 {
			t.Fatalf("%q becomes %q", text, login)
		}
		for _, other := range []string{login, " " + login + "\t", strings.ToUpper(login), "\u00a0" + login} {
			if again, ok := auth.NormalizeLogin(other); !ok || again != login {
				t.Fatalf("%q becomes %q, and %q becomes %q", text, login, other, again)
			}
		}
	})
	for text, want := range map[string]string{"Ａnn": "ann", "ANN\u212a": "annk", "ann ": "ann", "ａｎｎ＠x": "ann@x"} {
		if got, _ := auth.NormalizeLogin(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	for _, text := range []string{"а", "an n", "ann\u200b", "a\u00adb", "ann/", "é", "", "\xff", "a\x00", strings.Repeat("a", 101)} {
		if got, ok := auth.NormalizeLogin(text); ok {
			t.Errorf("%q is taken as %q", text, got)
		}
	}
}

func TestCommonPasswordsAreLongEnoughToMatter(t *testing.T) {
	list := strings.Split(strings.TrimSuffix(auth.CommonPasswords(), "\n"), "\n")
	if !slices.IsSorted(list) || len(list) < 200 || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Errorf("%d lines, sorted: %t", len(list), slices.IsSorted(list))
	}
	for _, p := range list {
		if len(p) < 10 || p != strings.ToLower(p) {
			t.Errorf("%q is never compared", p)
		}
	}
}

func TestSignInMakesASession(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	u := p.user(t, op, "ann", waypost.RoleViewer)
	agent := "Browser\u202e\n" + strings.Repeat("é", 200)
	in, err := p.SignIn(t.Context(), " ANN ", good, home, agent)
	if err != nil || !in.State.Empty() || !in.Expires.Equal(p.now().Add(30*24*time.Hour)) {
		t.Fatal(in, err)
	}
	token := in.Token.Reveal()
	if text := fmt.Sprintf("%v %+v %#v", in, in, in); strings.Contains(text, token) {
		t.Error("the token is printed")
	}
	s, err := p.Session(t.Context(), token, away)
	if err != nil || s.User.ID != u.ID || s.Operator() != op || s.Role() != waypost.RoleViewer || s.Peer != away {
		t.Errorf("%+v, %v", s, err)
	}
	if s.Actor() != (waypost.Actor{ID: "user:" + u.ID, Name: "ann", Peer: away}) {
		t.Error(s.Actor())
	}
	if len(s.Agent) > 300 || strings.ContainsAny(s.Agent, "\u202e\n") || !strings.HasPrefix(s.Agent, "Browseré") {
		t.Errorf("%q", s.Agent)
	}
	second, err := p.SignIn(t.Context(), "ann", good, home, "")
	if err != nil || second.Token.Reveal() == token {
		t.Error("no new token", err)
	}
	if n := p.db.Int(t, "SELECT COUNT(*) FROM user_session WHERE token_hash = $1", []byte(token)); n != 0 {
		t.Error("the token itself is stored")
	}
	entries := p.recorded(t, op, "user.sign_in")
	if len(entries) != 2 || entries[0].Actor.Peer != home || entries[0].Target != "ann" {
		t.Error(entries)
	}
	for _, token := range []string{"", "x", token + "x", strings.ToUpper(token), strings.Repeat("A", 43)} {
		wantSignedOut(t, p, token)
	}
}

// Nobody learns which logins there are, by what is said or by how long it takes.
func TestUnknownLoginsAreTreatedAsKnownOnes(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	p.user(t, op, "ann", waypost.RoleAdmin)
	disabled := p.user(t, op, "disabled", waypost.RoleAdmin)
	if _, err := p.Change(t.Context(), waypost.CommandLine(), op, disabled.ID, func(u *waypost.User) { u.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Invite(t.Context(), waypost.CommandLine(), auth.NewUser{OperatorID: op, Login: "invited", Email: "a@b.test", Role: waypost.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	gone := p.operator(t)
	p.user(t, gone, "orphan", waypost.RoleAdmin)
	p.db.Exec(t, "DELETE FROM operator WHERE id = $1", gone)
	for _, tt := range []struct{ login, password string }{
		{"ann", "wrong"},
		{"ann", ""},
		{"ann", strings.Repeat("x", 100_000)},
		{"nobody", good},
		{"no body\x00", good},
		{"", ""},
		{"disabled", good},
		{"invited", ""},
		{"orphan", good},
	} {
		p.calls.take()
		// Whoever it is, a hash is made: without a slot for one nobody gets an answer.
		release := p.OccupyHashes(t.Context())
		waiting, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() {
			_, err := p.SignIn(waiting, tt.login, tt.password, home, "")
			answer <- err
		}()
		tick := time.NewTicker(time.Millisecond)
		for p.WaitingForHashes() < 2 {
			select {
			case err := <-answer:
				t.Fatalf("%q: an answer without a hash: %v", tt.login, err)
			case <-tick.C:
			}
		}
		tick.Stop()
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", tt.login, err)
		}
		release()
		_, err := p.SignIn(t.Context(), tt.login, tt.password, home, "")
		wantNotSignedIn(t, err)
		if diff := cmp.Diff([]string{"UserByLogin", "SessionPeers", "UserByLogin"}, p.calls.take()); diff != "" {
			t.Errorf("%q: %s", tt.login, diff)
		}
		p.pass(time.Hour)
	}
	if strings.Contains(p.log.String(), "body") {
		t.Error("what is typed for a login is logged: it may be a password")
	}
}

func TestHashesAreMadeAnewAtTodaysCost(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	token, _ := p.signIn(t, "ann", home)
	hash := func() (h string) {
		t.Helper()
		_, secrets, err := p.db.System.UserByLogin(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		return secrets.Password
	}
	before := hash()
	p.OtherHashes()
	_, err := p.SignIn(t.Context(), "ann", "wrong", home, "")
	wantNotSignedIn(t, err)
	if hash() != before {
		t.Error("a wrong password was hashed")
	}
	p.signIn(t, "ann", home)
	after := hash()
	if !strings.HasPrefix(before, "$argon2id$v=19$m=16,t=1,p=1$") || !strings.HasPrefix(after, "$argon2id$v=19$m=24,t=1,p=1$") {
		t.Errorf("%s, then %s", before, after)
	}
	p.signIn(t, "ann", home)
	if hash() != after {
		t.Error("hashed again")
	}
	if _, err := p.Session(t.Context(), token, home); err != nil {
		t.Error("the same password ends sessions:", err)
	}
	p.db.Exec(t, "UPDATE app_user SET password = $1", "$argon2id$v=19$m=999999999,t=1,p=1$"+strings.Repeat("A", 22)+"$"+strings.Repeat("A", 43))
	if _, err := p.SignIn(t.Context(), "ann", good, home, ""); waypost.KindOf(err) != waypost.Internal || strings.Contains(err.Error(), "AAAA") {
		t.Error("a damaged hash:", err)
	}
}

func TestPasswordsAreComposed(t *testing.T) {
	p := newPeople(t)
	if _, err := p.Create(t.Context(), waypost.CommandLine(), auth.NewUser{Login: "ann", Role: waypost.RoleOwner}, "contraseña larga"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SignIn(t.Context(), "ann", "contrasen\u0303a larga", home, ""); err != nil {
		t.Error(err)
	}
}

// withTOTP switches TOTP on for a user and returns its secret and recovery codes.
func (p *people) withTOTP(t *testing.T, login string) (key string, recovery []string) {
	t.Helper()
	_, s := p.signIn(t, login, home)
	e, err := p.Enroll(t.Context(), s, good)
	if err != nil {
		t.Fatal(err)
	}
	recovery, err = p.Confirm(t.Context(), s, p.code(t, e.Secret.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	return e.Secret.Reveal(), recovery
}

// code is what the user's app shows now.
func (p *people) code(t *testing.T, key string) string {
	t.Helper()
	code, err := totp.GenerateCode(key, p.now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// first does the first step.
func (p *people) first(t *testing.T, login, peer string) string {
	t.Helper()
	in, err := p.SignIn(t.Context(), login, good, peer, "")
	if err != nil || !in.Token.Empty() || in.State.Empty() {
		t.Fatal(in, err)
	}
	return in.State.Reveal()
}

func TestTheSecondStepTakesACode(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	key, _ := p.withTOTP(t, "ann")
	state := p.first(t, "ann", home)
	if strings.Contains(state, u.ID) {
		t.Error("the state tells who it is")
	}
	_, err := p.SecondStep(t.Context(), state, p.code(t, key), home, "")
	wantNotSignedIn(t, err) // it confirmed the secret
	p.pass(30 * time.Second)
	for _, wrong := range []string{"", "000", "abcdef", "00000000", strings.Repeat("9", 1000)} {
		_, err := p.SecondStep(t.Context(), state, wrong, fmt.Sprint("203.0.113.", len(wrong)%250), "")
		if err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	code := p.code(t, key)
	in, err := p.SecondStep(t.Context(), state, " "+code[:3]+" "+code[3:], home, "")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.Session(t.Context(), in.Token.Reveal(), home); err != nil || s.User.ID != u.ID || !s.User.TOTP {
		t.Error(s, err)
	}
	_, err = p.SecondStep(t.Context(), state, code, home, "")
	wantNotSignedIn(t, err)
	if e := p.recorded(t, waypost.PlatformOperatorID, "user.sign_in"); e[0].Detail.String() != "password and code" {
		t.Error(e[0].Detail)
	}
	// One step late and one early are fine, two are not.
	for _, tt := range []struct {
		shift time.Duration
		ok    bool
	}{{-60 * time.Second, false}, {-30 * time.Second, true}, {30 * time.Second, true}, {60 * time.Second, false}} {
		p.pass(time.Hour)
		shown, err := totp.GenerateCode(key, p.now().Add(tt.shift))
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.SecondStep(t.Context(), p.first(t, "ann", home), shown, home, "")
		if (err == nil) != tt.ok {
			t.Errorf("a code of %v: %v", tt.shift, err)
		}
	}
}

func TestACodeSignsInOnceOnHoweverManyNodes(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	key, _ := p.withTOTP(t, "ann")
	state := p.first(t, "ann", home)
	other := onNode(t, p.db)
	p.pass(30 * time.Second)
	other.pass(30 * time.Second)
	code := p.code(t, key)
	var wait sync.WaitGroup
	var won atomic.Int32
	for i := range 8 {
		wait.Go(func() {
			_, err := []*people{p, other}[i%2].SecondStep(t.Context(), state, code, home, "")
			if err == nil {
				won.Add(1)
			} else {
				wantNotSignedIn(t, err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("signed in %d times", won.Load())
	}
}

func TestRecoveryCodesAreGoodOnceEach(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	p.user(t, "", "eve", waypost.RoleOwner)
	_, recovery := p.withTOTP(t, "ann")
	_, eves := p.withTOTP(t, "eve")
	if len(recovery) != 10 || len(recovery[0]) != 19 {
		t.Fatal(len(recovery), "codes")
	}
	use := func(code string) error {
		p.pass(time.Minute)
		_, err := p.SecondStep(t.Context(), p.first(t, "ann", home), code, home, "")
		return err
	}
	if err := use(strings.ToUpper(strings.ReplaceAll(recovery[0], "-", " "))); err != nil {
		t.Error(err)
	}
	wantNotSignedIn(t, use(recovery[0]))
	wantNotSignedIn(t, use(eves[0]))
	for _, code := range recovery[1:] {
		if err := use(code); err != nil {
			t.Error(err)
		}
	}
	if n, err := p.RecoveryCodes(t.Context(), u.ID); n != 0 || err != nil {
		t.Error(n, err)
	}
	if e := p.recorded(t, waypost.PlatformOperatorID, "user.sign_in"); e[0].Detail.String() != "password and recovery code, 0 left" {
		t.Error(e[0].Detail)
	}
}

func TestCodesAreThrottledPerUser(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	key, _ := p.withTOTP(t, "ann")
	p.pass(30 * time.Second)
	state := p.first(t, "ann", away) // who knows the password
	for i := range 5 {
		_, err := p.SecondStep(t.Context(), state, "aaaaaa", fmt.Sprintf("203.0.113.%d", i), "")
		wantNotSignedIn(t, err)
	}
	_, err := p.SecondStep(t.Context(), state, p.code(t, key), away, "")
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	if _, err = p.SecondStep(t.Context(), p.first(t, "ann", home), p.code(t, key), home, ""); err != nil {
		t.Error("the user is locked out:", err)
	}
	p.Wait()
	if n := len(p.recorded(t, waypost.PlatformOperatorID, "user.sign_in_failed")); n != 1 {
		t.Error(n, "entries")
	}
}

func TestAStateIsGoodForItsTimeAndPassword(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	p.user(t, "", "bob", waypost.RoleOwner)
	key, _ := p.withTOTP(t, "ann")
	p.pass(time.Minute)
	step := func(state string) error {
		_, err := p.SecondStep(t.Context(), state, p.code(t, key), home, "")
		return err
	}
	old := p.first(t, "ann", home)
	p.pass(5 * time.Minute)
	for _, state := range []string{old, "", "x", p.first(t, "ann", home)[1:]} {
		wantCode(t, step(state), waypost.Unauthenticated, "sign_in_expired")
	}
	for what, change := range map[string]func() error{
		"password": func() error {
			i, err := p.IssueReset(t.Context(), waypost.CommandLine(), "", u.ID)
			if err == nil {
				_, err = p.Redeem(t.Context(), waypost.TokenReset, i.Token.Reveal(), good, home)
			}
			return err
		},
		"disabled": func() error {
			_, err := p.Change(t.Context(), waypost.CommandLine(), "", u.ID, func(u *waypost.User) { u.Disabled = true })
			return err
		},
	} {
		state := p.first(t, "ann", home)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := step(state); waypost.AsError(err).Code != "sign_in_expired" {
			t.Errorf("%s: %v", what, err)
		}
		if what == "disabled" { // not even that the password is right
			_, err := p.SignIn(t.Context(), "ann", good, home, "")
			wantNotSignedIn(t, err)
		}
		if _, err := p.Change(t.Context(), waypost.CommandLine(), "", u.ID, func(u *waypost.User) { u.Disabled = false }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTOTPIsOnOnceACodeWasRight(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann+x@example.test", waypost.RoleOwner)
	_, s := p.signIn(t, u.Login, home)
	other, _ := p.signIn(t, u.Login, away)
	_, err := p.Confirm(t.Context(), s, "123456")
	wantCode(t, err, waypost.Conflict, "totp_not_enrolled")
	_, err = p.Enroll(t.Context(), s, "a guess") // who finds the browser open
	wantCode(t, err, waypost.Invalid, "password_wrong")
	_, err = p.Enrolled(t.Context(), s)
	wantCode(t, err, waypost.Conflict, "totp_not_enrolled")
	first, err := p.Enroll(t.Context(), s, good)
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Enroll(t.Context(), s, good) // looked at the page again
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(e.URI.Reveal())
	if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Waypost:ann+x@example.test" ||
		uri.Query().Get("secret") != e.Secret.Reveal() || len(e.Secret.Reveal()) != 32 {
		t.Error(uri, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, e.Secret.Reveal()) || strings.Contains(text, "<svg") {
		t.Error("the secret is printed")
	}
	for d := xml.NewDecoder(strings.NewReader(e.SVG.Reveal())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	_, err = p.Confirm(t.Context(), s, p.code(t, first.Secret.Reveal()))
	wantCode(t, err, waypost.Invalid, "code_wrong")
	p.signIn(t, u.Login, home) // not asked for yet
	if _, err = p.Confirm(t.Context(), s, p.code(t, e.Secret.Reveal())); err != nil {
		t.Fatal(err)
	}
	p.first(t, u.Login, home)
	wantSignedOut(t, p, other)
	if _, err := p.Enroll(t.Context(), s, good); waypost.AsError(err).Code != "totp_on" {
		t.Error(err)
	}
	if n := p.db.Int(t, "SELECT COUNT(*) FROM app_user WHERE totp = $1", []byte(e.Secret.Reveal())); n != 0 {
		t.Error("the secret is stored as it is")
	}
	_, err = p.DisableTOTP(t.Context(), s, "wrong")
	wantCode(t, err, waypost.Invalid, "password_wrong")
	for _, want := range []bool{true, false} { // the second time there is nothing to switch off
		if was, err := p.DisableTOTP(t.Context(), s, good); was != want || err != nil {
			t.Fatal(was, err)
		}
	}
	_, s = p.signIn(t, u.Login, home)
	// Somebody who helps.
	if e, err = p.Enroll(t.Context(), s, good); err != nil {
		t.Fatal(err)
	}
	p.pass(time.Minute)
	if _, err = p.Confirm(t.Context(), s, p.code(t, e.Secret.Reveal())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if was, err := p.DropTOTP(t.Context(), waypost.CommandLine(), "", u.ID); was != want || err != nil {
			t.Fatal(was, err)
		}
	}
	p.signIn(t, u.Login, home)
}
