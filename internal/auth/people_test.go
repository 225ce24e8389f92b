package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	good = "correct horse battery"
	home = "192.0.2.7" // where users sign in from
	away = "198.51.100.66"
)

// people is a Users on a real store, with a clock.
type people struct {
	*auth.Users
	db    *storetest.DB
	calls *calls
	log   *bytes.Buffer

	mu    sync.Mutex
	clock time.Time
}

// calls are the questions and changes the store gets, by name.
type calls struct {
	auth.UserStore
	mu   sync.Mutex
	seen []string
}

func (c *calls) note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, name)
}

// take returns what was called since it was last asked.
func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

func (c *calls) UserByLogin(ctx context.Context, login string) (waypost.User, waypost.UserSecrets, error) {
	c.note("UserByLogin")
	return c.UserStore.UserByLogin(ctx, login)
}

func (c *calls) UsersByEmail(ctx context.Context, email string) ([]waypost.User, error) {
	c.note("UsersByEmail")
	return c.UserStore.UsersByEmail(ctx, email)
}

func (c *calls) SessionPeers(ctx context.Context, userID string) ([]string, error) {
	c.note("SessionPeers")
	return c.UserStore.SessionPeers(ctx, userID)
}

func (c *calls) SessionByHash(ctx context.Context, hash []byte, now, idle time.Time) (waypost.UserSession, waypost.User, error) {
	c.note("SessionByHash")
	return c.UserStore.SessionByHash(ctx, hash, now, idle)
}

func (c *calls) TouchSession(ctx context.Context, id, peer string, now time.Time) error {
	c.note("TouchSession")
	return c.UserStore.TouchSession(ctx, id, peer, now)
}

func (c *calls) RequestReset(ctx context.Context, by waypost.Actor, users []waypost.User, tokens []waypost.UserToken, now time.Time) error {
	c.note(fmt.Sprintf("RequestReset of %d", len(tokens)))
	return c.UserStore.RequestReset(ctx, by, users, tokens, now)
}

func newPeople(t *testing.T) *people {
	t.Helper()
	return onNode(t, storetest.OpenSQLite(t))
}

// onNode is one process on a database; all have the same instance key.
func onNode(t *testing.T, db *storetest.DB) *people {
	t.Helper()
	ring, err := secret.NewRing([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	p := &people{db: db, calls: &calls{UserStore: db.System}, clock: storetest.Now(), log: &bytes.Buffer{}}
	p.Users = auth.NewUsers(auth.UsersOptions{Store: p.calls, Ring: ring, Now: p.now, Log: slog.New(slog.NewTextHandler(p.log, nil))})
	p.CheapHashes()
	t.Cleanup(p.Wait)
	return p
}

func (p *people) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock
}

func (p *people) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock = p.clock.Add(d)
}

// operator makes the row of an operator.
func (p *people) operator(t *testing.T) string {
	t.Helper()
	id := waypost.NewID()
	p.db.Exec(t, `INSERT INTO operator (id, parent_id, name, product, contact, suspended, gateway, uncertain_policy, reply_to, signature_text, signature_html, created)
VALUES ($1, '', 'Operator', 'cloud', '', FALSE, '', 'retry', '', '', '', 1)`, id)
	return id
}

// user makes a user of an operator, or of the platform for "", with the good password.
func (p *people) user(t *testing.T, operatorID, login string, role waypost.Role) waypost.User {
	t.Helper()
	email := login
	if !strings.Contains(login, "@") {
		email += "@example.test"
	}
	u, err := p.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: operatorID, Login: login, Email: email, Name: "Ann", Role: role,
	}, good)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// signIn signs a user without TOTP in.
func (p *people) signIn(t *testing.T, login, peer string) (token string, s auth.Session) {
	t.Helper()
	in, err := p.SignIn(t.Context(), login, good, peer, "Browser")
	if err != nil {
		t.Fatal(err)
	}
	s, err = p.Session(t.Context(), in.Token.Reveal(), peer)
	if err != nil {
		t.Fatal(err)
	}
	return in.Token.Reveal(), s
}

// recorded lists what was recorded under an operator, the newest first.
func (p *people) recorded(t *testing.T, operatorID, action string) []waypost.AuditEntry {
	t.Helper()
	all, err := p.db.Store.AuditLog(t.Context(), operatorID, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var list []waypost.AuditEntry
	for _, e := range all {
		if e.Action == action {
			list = append(list, e)
		}
	}
	return list
}

func wantCode(t *testing.T, err error, kind waypost.ErrorKind, code string) {
	t.Helper()
	if e := waypost.AsError(err); err == nil || e.Kind != kind || e.Code != code {
		t.Errorf("error %v, want %v %s", err, kind, code)
	}
}

func wantNotSignedIn(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, waypost.Unauthenticated, "sign_in_failed")
	if err != nil && err.Error() != "login, password or code is wrong" {
		t.Error("another text:", err)
	}
}

func wantSignedOut(t *testing.T, p *people, token string) {
	t.Helper()
	_, err := p.Session(t.Context(), token, home)
	wantCode(t, err, waypost.Unauthenticated, "signed_out")
}

func TestUsersThatMakeNoSenseAreRefused(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	p.user(t, op, "taken", waypost.RoleAdmin)
	for name, tt := range map[string]struct {
		change   func(n *auth.NewUser)
		password string
		code     string
		field    string
	}{
		"no login":             {func(n *auth.NewUser) { n.Login = " " }, good, "invalid", "login"},
		"login of signs":       {func(n *auth.NewUser) { n.Login = "...@" }, good, "invalid", "login"},
		"long login":           {func(n *auth.NewUser) { n.Login = strings.Repeat("a", 101) }, good, "invalid", "login"},
		"invisible login":      {func(n *auth.NewUser) { n.Login = "an\u200bn" }, good, "invalid", "login"},
		"confusable login":     {func(n *auth.NewUser) { n.Login = "аnn" }, good, "invalid", "login"},
		"another's address":    {func(n *auth.NewUser) { n.Login = "boss@example.test" }, good, "login_not_own", "login"},
		"used login":           {func(n *auth.NewUser) { n.Login = " TAKEN" }, good, "login_used", "login"},
		"no role":              {func(n *auth.NewUser) { n.Role = "king" }, good, "invalid", "role"},
		"role of the platform": {func(n *auth.NewUser) { n.Role = waypost.RoleSupport }, good, "invalid", "role"},
		"role of an operator":  {func(n *auth.NewUser) { n.OperatorID = "" }, good, "invalid", "role"},
		"unknown operator":     {func(n *auth.NewUser) { n.OperatorID = waypost.NewID() }, good, "not_found", ""},
		"bad address":          {func(n *auth.NewUser) { n.Email = "ann" }, good, "invalid", "email"},
		"name with control":    {func(n *auth.NewUser) { n.Name = "a\u202eb" }, good, "invalid", "name"},
		"long name":            {func(n *auth.NewUser) { n.Name = strings.Repeat("é", 201) }, good, "invalid", "name"},
		"no language":          {func(n *auth.NewUser) { n.Language = "klingonish-x" }, good, "invalid", "language"},
		"no time zone":         {func(n *auth.NewUser) { n.TimeZone = "Europe/Nowhere" }, good, "invalid", "time_zone"},
		"file for a zone":      {func(n *auth.NewUser) { n.TimeZone = "../../etc/passwd" }, good, "invalid", "time_zone"},
		"this machine's zone":  {func(n *auth.NewUser) { n.TimeZone = "Local" }, good, "invalid", "time_zone"},
		"short password":       {nil, "123456789", "password_short", "password"},
		"long password":        {nil, strings.Repeat("x", 1001), "password_long", "password"},
		"binary password":      {nil, "0123456789\xff", "password_invalid", "password"},
		"common password":      {nil, "PassWord123", "password_common", "password"},
		"the address":          {nil, "ANN@example.test", "password_same", "password"},
		"the login":            {func(n *auth.NewUser) { n.Login = "ann-of-acme" }, "Ann-of-Acme", "password_same", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			n := auth.NewUser{OperatorID: op, Login: "ann", Email: "ann@example.test", Role: waypost.RoleAdmin}
			password := tt.password
			if tt.change != nil {
				tt.change(&n)
			}
			_, err := p.Create(t.Context(), waypost.CommandLine(), n, password)
			if e := waypost.AsError(err); e.Code != tt.code || e.Field != tt.field {
				t.Errorf("error %v (%s at %s)", err, e.Code, e.Field)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Error("the password shows:", err)
			}
		})
	}
	if n := p.db.Int(t, "SELECT COUNT(*) FROM app_user"); n != 1 {
		t.Error(n, "users")
	}
}

func TestAUserIsKeptNormalized(t *testing.T) {
	p := newPeople(t)
	u, err := p.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		Login: " Ａnn@Example.TEST ", Email: "Ann@Example.test", Name: " Ann ", Role: waypost.RoleOwner, Language: "pt-br", TimeZone: "Asia/Tokyo",
	}, good)
	if err != nil || u.Login != "ann@example.test" || u.Email != "ann@example.test" || u.Name != "Ann" || u.Language != "pt-BR" || !u.Active {
		t.Errorf("%+v, %v", u, err)
	}
	kept, err := p.User(t.Context(), "", u.ID)
	if diff := cmp.Diff(u, kept); diff != "" || err != nil {
		t.Error(diff, err)
	}
	found, err := p.ByLogin(t.Context(), "ANN@example.test")
	if found.ID != u.ID || err != nil {
		t.Error(found, err)
	}
	if _, err := p.Change(t.Context(), waypost.CommandLine(), "", u.ID, func(u *waypost.User) { u.Role = waypost.RoleAdmin }); err == nil {
		t.Error("staff of the platform became an operator's admin")
	}
	list, err := p.List(t.Context(), "", "", 10)
	all, err2 := p.ListAll(t.Context(), "", 10)
	if len(list) != 1 || len(all) != 1 || err != nil || err2 != nil {
		t.Error(list, all, err, err2)
	}
}

func TestRolesManageWhomTheyMay(t *testing.T) {
	const mine, other = "mine", "other"
	for _, tt := range []struct {
		session              auth.Session
		staff, its, anothers bool
	}{
		{session(waypost.RoleOwner, "", ""), true, true, true},
		{session(waypost.RoleSupport, "", ""), false, true, true},
		{session(waypost.RoleAuditor, "", ""), false, false, false},
		{session(waypost.RoleOwner, "", mine), false, true, false},
		{session(waypost.RoleSupport, "", mine), false, true, false},
		{session(waypost.RoleAdmin, mine, ""), false, true, false},
		{session(waypost.RoleViewer, mine, ""), false, false, false},
	} {
		if tt.session.Manages("") != tt.staff || tt.session.Manages(mine) != tt.its || tt.session.Manages(other) != tt.anothers {
			t.Errorf("%s acting for %q: %t %t %t", tt.session.User.Role, tt.session.ActingFor,
				tt.session.Manages(""), tt.session.Manages(mine), tt.session.Manages(other))
		}
	}
}

func session(role waypost.Role, operatorID, actingFor string) auth.Session {
	return auth.Session{UserSession: waypost.UserSession{ActingFor: actingFor}, User: waypost.User{Role: role, OperatorID: operatorID}}
}

func TestAnInvitationSetsTheFirstPassword(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	n := auth.NewUser{OperatorID: op, Login: "ann", Email: "ann@example.test", Role: waypost.RoleViewer}
	_, err := p.Invite(t.Context(), waypost.CommandLine(), auth.NewUser{OperatorID: op, Login: "x", Role: waypost.RoleViewer})
	wantCode(t, err, waypost.Invalid, "invalid")
	first, err := p.Invite(t.Context(), waypost.CommandLine(), n)
	if err != nil || !first.Expires.Equal(p.now().Add(72*time.Hour)) {
		t.Fatal(first.Expires, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", first, first, first); strings.Contains(text, first.Token.Reveal()) {
		t.Error("the token is printed")
	}
	if _, err = p.SignIn(t.Context(), "ann", "", home, ""); err == nil {
		t.Error("signed in without a password")
	}
	again, err := p.InviteAgain(t.Context(), waypost.CommandLine(), op, first.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Redeem(t.Context(), waypost.TokenInvite, first.Token.Reveal(), good, home)
	wantCode(t, err, waypost.NotFound, "link_expired")
	_, err = p.Redeem(t.Context(), waypost.TokenInvite, again.Token.Reveal(), "0123456789", home)
	wantCode(t, err, waypost.Invalid, "password_common")
	_, err = p.Redeem(t.Context(), waypost.TokenReset, again.Token.Reveal(), good, home)
	wantCode(t, err, waypost.NotFound, "link_expired")
	if u, err := p.TokenUser(t.Context(), waypost.TokenInvite, again.Token.Reveal()); u.Login != "ann" || err != nil {
		t.Error(u, err)
	}
	if u, err := p.Redeem(t.Context(), waypost.TokenInvite, again.Token.Reveal(), good, home); u.Login != "ann" || err != nil {
		t.Fatal(u, err)
	}
	p.signIn(t, "ann", home)
	_, err = p.InviteAgain(t.Context(), waypost.CommandLine(), op, first.User.ID)
	wantCode(t, err, waypost.Conflict, "user_active")
	for i := range 30 { // mail to people who did not ask
		n.Login = fmt.Sprint("bob", i)
		if _, err = p.Invite(t.Context(), waypost.CommandLine(), n); err != nil {
			break
		}
	}
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
}

func TestALinkIsGoodForItsTime(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	issued, err := p.IssueReset(t.Context(), waypost.CommandLine(), "", u.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.pass(time.Hour - time.Second)
	if _, err := p.TokenUser(t.Context(), waypost.TokenReset, issued.Token.Reveal()); err != nil {
		t.Error(err)
	}
	p.pass(time.Second)
	for _, token := range []string{issued.Token.Reveal(), "", "x", strings.Repeat("a", 43)} {
		_, err := p.TokenUser(t.Context(), waypost.TokenReset, token)
		wantCode(t, err, waypost.NotFound, "link_expired")
		_, err = p.Redeem(t.Context(), waypost.TokenReset, token, good+"!", home)
		wantCode(t, err, waypost.NotFound, "link_expired")
	}
}

func TestALinkIsRedeemedOnceHoweverManyTry(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	token, _ := p.signIn(t, "ann", home)
	issued, err := p.IssueReset(t.Context(), waypost.CommandLine(), "", u.ID)
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*people{p, onNode(t, p.db)}
	var wait sync.WaitGroup
	won := make(chan string, 8)
	for i := range 8 {
		wait.Go(func() {
			password := fmt.Sprintf("%s %d", good, i)
			_, err := nodes[i%2].Redeem(t.Context(), waypost.TokenReset, issued.Token.Reveal(), password, home)
			if err == nil {
				won <- password
			} else if waypost.KindOf(err) != waypost.NotFound {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(won) != 1 {
		t.Fatalf("redeemed %d times", len(won))
	}
	if _, err := p.SignIn(t.Context(), "ann", <-won, home, ""); err != nil {
		t.Error(err)
	}
	p.Changed(t.Context()) // as the change number makes it happen
	wantSignedOut(t, p, token)
	if n := len(p.recorded(t, waypost.PlatformOperatorID, "user.password")); n != 1 {
		t.Error(n, "entries")
	}
}

func TestAResetAsksAsMuchForNobody(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	p.user(t, op, "bob", waypost.RoleAdmin)
	second, err := p.Create(t.Context(), waypost.CommandLine(), auth.NewUser{
		OperatorID: op, Login: "bob2", Email: "bob@example.test", Role: waypost.RoleViewer,
	}, good)
	if err != nil {
		t.Fatal(err)
	}
	p.calls.take()
	ask := func(text, peer string) (logins []string, seen []string) {
		t.Helper()
		list, err := p.RequestReset(t.Context(), text, peer)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			if got, err := p.TokenUser(t.Context(), waypost.TokenReset, i.Token.Reveal()); got.ID != i.User.ID || err != nil {
				t.Error(got, err)
			}
			logins = append(logins, i.User.Login)
		}
		return logins, p.calls.take()
	}
	same := []string{"UserByLogin", "UsersByEmail", "RequestReset of 1"}
	for text, want := range map[string][]string{
		"Ann": {"ann"}, "ann@example.test": {"ann"}, "nobody": nil, "nobody@example.test": nil, "\x00 ": nil, "": nil,
	} {
		got, seen := ask(text, home)
		if diff := cmp.Diff(want, got) + cmp.Diff(same, seen); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	if got, _ := ask("BOB@example.test", home); len(got) != 2 {
		t.Error("of two users with one address:", got)
	}
	if _, err := p.Change(t.Context(), waypost.CommandLine(), op, second.ID, func(u *waypost.User) { u.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	if got, _ := ask("bob@example.test", away); len(got) != 1 {
		t.Error("of one user who may sign in:", got)
	}
	// A few an hour for one user, however many ask; the answer stays the same.
	total := 0
	for i := range 20 {
		got, seen := ask("ann", fmt.Sprintf("203.0.113.%d", i))
		if diff := cmp.Diff(same, seen); diff != "" {
			t.Fatal(diff)
		}
		total += len(got)
	}
	if total != 1 { // two of three were asked for above
		t.Errorf("%d links within a moment", total+2)
	}
	for range 20 {
		if _, err = p.RequestReset(t.Context(), "nobody", "2001:db8::1"); err != nil {
			break
		}
	}
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	_, err = p.RequestReset(t.Context(), "ann", "2001:db8::ffff") // the same network
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
}

func TestThePasswordIsChangedWithTheOldOne(t *testing.T) {
	p := newPeople(t)
	p.user(t, "", "ann", waypost.RoleOwner)
	other, _ := p.signIn(t, "ann", away)
	token, s := p.signIn(t, "ann", home)
	const next = "another good password"
	err := p.ChangePassword(t.Context(), s, "wrong", next)
	wantCode(t, err, waypost.Invalid, "password_wrong")
	wantCode(t, p.ChangePassword(t.Context(), s, good, "short"), waypost.Invalid, "password_short")
	if err := p.ChangePassword(t.Context(), s, good, next); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Session(t.Context(), token, home); err != nil {
		t.Error("signed out by the own change:", err)
	}
	wantSignedOut(t, p, other)
	_, err = p.SignIn(t.Context(), "ann", good, home, "")
	wantNotSignedIn(t, err)
	if _, err = p.SignIn(t.Context(), "ann", next, home, ""); err != nil {
		t.Error(err)
	}
	// A browser left alone is no oracle.
	for range 10 {
		if err = p.VerifyPassword(t.Context(), s, "guess"); waypost.KindOf(err) == waypost.RateLimited {
			break
		}
	}
	wantCode(t, err, waypost.RateLimited, "too_many_tries")
	wantCode(t, p.VerifyPassword(t.Context(), s, next), waypost.RateLimited, "too_many_tries")
	p.pass(time.Minute)
	if err := p.VerifyPassword(t.Context(), s, next); err != nil {
		t.Error(err)
	}
}

func TestTheFirstUserIsMadeOnce(t *testing.T) {
	p := newPeople(t)
	p.user(t, p.operator(t), "ann", waypost.RoleAdmin)
	if none, err := p.NoPlatformUsers(t.Context()); !none || err != nil {
		t.Error(none, err)
	}
	owner, err := p.CreateFirst(t.Context(), auth.NewUser{Login: "boss", Role: waypost.RoleViewer, OperatorID: "x"}, good, home)
	if owner.Role != waypost.RoleOwner || owner.OperatorID != "" || err != nil {
		t.Error(owner, err)
	}
	_, err = p.CreateFirst(t.Context(), auth.NewUser{Login: "thief"}, good, away)
	wantCode(t, err, waypost.Conflict, "not_first")
	if none, err := p.NoPlatformUsers(t.Context()); none || err != nil {
		t.Error(none, err)
	}
	entries := p.recorded(t, waypost.PlatformOperatorID, "user.create")
	if len(entries) != 1 || entries[0].Actor != (waypost.Actor{ID: "user:" + owner.ID, Name: "boss", Peer: home}) {
		t.Error(entries)
	}
	wantCode(t, p.Remove(t.Context(), waypost.CommandLine(), "", owner.ID), waypost.Conflict, "last_owner")
}
