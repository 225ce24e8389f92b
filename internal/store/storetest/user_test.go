package storetest_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// newUser makes a user with the password "old"; the operator is the platform for "".
func newUser(t *testing.T, db *storetest.DB, operatorID, login string, role waypost.Role) waypost.User {
	t.Helper()
	u := waypost.User{
		ID: waypost.NewID(), OperatorID: operatorID, Login: login, Email: login + "@example.test", Name: "Ann", Role: role,
		Language: "es", TimeZone: "Europe/Madrid", Created: storetest.Now(),
	}
	if err := db.System.CreateUser(t.Context(), waypost.CommandLine(), u, "old", nil, 100); err != nil {
		t.Fatal(err)
	}
	u.Active = true
	return u
}

// anOperator makes the row of an operator.
func anOperator(t *testing.T, db *storetest.DB) string {
	t.Helper()
	id := waypost.NewID()
	db.Exec(t, `INSERT INTO operator (id, parent_id, name, product, contact, suspended, gateway, uncertain_policy, reply_to, signature_text, signature_html, created)
VALUES ($1, '', 'Operator', 'cloud', '', FALSE, '', 'retry', '', '', '', 1)`, id)
	return id
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// signIn makes a session whose token is a text.
func signIn(t *testing.T, db *storetest.DB, u waypost.User, token string) waypost.UserSession {
	t.Helper()
	s := aSession(u)
	if err := db.System.StartSession(t.Context(), self(u), s, hashOf(token), "old", waypost.SecondFactor{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func aSession(u waypost.User) waypost.UserSession {
	now := storetest.Now()
	return waypost.UserSession{
		ID: waypost.NewIDAt(now), UserID: u.ID, Created: now, Seen: now, Expires: now.Add(30 * 24 * time.Hour), Peer: "192.0.2.7", Agent: "Browser",
	}
}

func self(u waypost.User) waypost.Actor {
	return waypost.Actor{ID: "user:" + u.ID, Name: u.Login, Peer: "192.0.2.7"}
}

// signedIn reports whether the session of a token lasts.
func signedIn(t *testing.T, db *storetest.DB, token string) bool {
	t.Helper()
	now := storetest.Now()
	_, _, err := db.System.SessionByHash(t.Context(), hashOf(token), now, now.Add(-time.Hour))
	if err != nil && waypost.KindOf(err) != waypost.NotFound {
		t.Fatal(err)
	}
	return err == nil
}

// actions lists what is recorded under an operator, the oldest first.
func actions(t *testing.T, db *storetest.DB, operatorID string) []string {
	t.Helper()
	entries, err := db.Store.AuditLog(t.Context(), operatorID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		who, _, _ := strings.Cut(e.Actor.ID, ":")
		out = append([]string{who + " " + e.Action + " " + e.Target}, out...)
	}
	return out
}

// race runs a call on two nodes of one database at once, several times each, and returns
// how many succeeded. The others have to fail with a kind.
func race(t *testing.T, db *storetest.DB, kind waypost.ErrorKind, call func(db *storetest.DB, i int) error) int {
	t.Helper()
	nodes := []*storetest.DB{db, db}
	if db.Name == "postgres" {
		nodes[1] = db.Node(t, "node-b")
	}
	var wait sync.WaitGroup
	var won atomic.Int32
	begin := make(chan struct{})
	for i := range 6 {
		wait.Go(func() {
			<-begin
			switch err := call(nodes[i%2], i); {
			case err == nil:
				won.Add(1)
			case waypost.KindOf(err) != kind:
				t.Error(err)
			}
		})
	}
	close(begin)
	wait.Wait()
	return int(won.Load())
}

func TestUsersAreKeptAsTheyAre(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		op := anOperator(t, db)
		want := newUser(t, db, op, "ann", waypost.RoleAdmin)
		got, secrets, err := db.System.UserByLogin(t.Context(), "ann")
		if diff := cmp.Diff(want, got); diff != "" || err != nil || secrets.Password != "old" {
			t.Error(diff, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", secrets, &secrets, secrets); strings.Contains(text, "old") {
			t.Error("secrets are printed:", text)
		}
		staff := newUser(t, db, "", "boss", waypost.RoleOwner)
		for scope, want := range map[string][]string{op: {"ann"}, "": {"boss"}, anOperator(t, db): nil} {
			list, err := db.System.Users(t.Context(), scope, "", 10)
			var logins []string
			for _, u := range list {
				logins = append(logins, u.Login)
			}
			if diff := cmp.Diff(want, logins); diff != "" || err != nil {
				t.Error(diff, err)
			}
		}
		all, err := db.System.AllUsers(t.Context(), got.ID, 10)
		if len(all) != 1 || all[0].ID != staff.ID || err != nil {
			t.Error(all, err)
		}
		byMail, err := db.System.UsersByEmail(t.Context(), "ann@example.test")
		if len(byMail) != 1 || err != nil {
			t.Error(byMail, err)
		}
		if none, err := db.System.UsersByEmail(t.Context(), ""); len(none) != 0 || err != nil {
			t.Error(none, err)
		}
		_, _, err = db.System.UserByLogin(t.Context(), "nobody")
		wantKind(t, err, waypost.NotFound)
		if has, err := db.System.HasPlatformUsers(t.Context()); !has || err != nil {
			t.Error(has, err)
		}
	})
}

func TestALoginIsUsedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		op := anOperator(t, db)
		won := race(t, db, waypost.Conflict, func(db *storetest.DB, _ int) error {
			u := waypost.User{ID: waypost.NewID(), OperatorID: op, Login: "ann", Role: waypost.RoleAdmin, Created: storetest.Now()}
			return db.System.CreateUser(t.Context(), waypost.CommandLine(), u, "old", nil, 100)
		})
		if won != 1 || db.Int(t, "SELECT COUNT(*) FROM app_user") != 1 {
			t.Errorf("%d users were made", won)
		}
		if diff := cmp.Diff([]string{"cli user.create ann"}, actions(t, db, op), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		u := waypost.User{ID: waypost.NewID(), OperatorID: waypost.NewID(), Login: "bob", Role: waypost.RoleAdmin}
		wantKind(t, db.System.CreateUser(t.Context(), waypost.CommandLine(), u, "", nil, 100), waypost.NotFound)
		u.OperatorID = op
		wantKind(t, db.System.CreateUser(t.Context(), waypost.CommandLine(), u, "", nil, 1), waypost.Conflict)
	})
}

func TestThePlatformHasOneFirstUser(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		newUser(t, db, anOperator(t, db), "ann", waypost.RoleAdmin)
		won := race(t, db, waypost.Conflict, func(db *storetest.DB, i int) error {
			u := waypost.User{ID: waypost.NewID(), Login: fmt.Sprint("owner", i), Role: waypost.RoleOwner, Created: storetest.Now()}
			return db.System.CreateFirstUser(t.Context(), waypost.CommandLine(), u, "old")
		})
		if n := db.Int(t, "SELECT COUNT(*) FROM app_user WHERE operator_id = ''"); won != 1 || n != 1 {
			t.Errorf("%d were first, there are %d", won, n)
		}
	})
}

// What is another operator's is as good as not there.
func TestUsersOfOthersAreOutOfReach(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, y, now, by := t.Context(), db.System, storetest.Now(), waypost.CommandLine()
		victim, thief := newUser(t, db, anOperator(t, db), "ann", waypost.RoleAdmin), anOperator(t, db)
		s := signIn(t, db, victim, "token")
		before := everything(t, db)
		for _, other := range []string{thief, ""} {
			_, err := y.User(ctx, other, victim.ID)
			wantKind(t, err, waypost.NotFound)
			_, err = y.SaveUser(ctx, by, other, victim.ID, now, func(u *waypost.User) error { u.Email = "thief@example.test"; return nil })
			wantKind(t, err, waypost.NotFound)
			_, err = y.IssueToken(ctx, by, other, waypost.UserToken{Hash: hashOf("x"), UserID: victim.ID, Purpose: waypost.TokenReset}, now)
			wantKind(t, err, waypost.NotFound)
			_, err = y.EndSessions(ctx, by, other, victim.ID, "", now)
			wantKind(t, err, waypost.NotFound)
			wantKind(t, y.EndSession(ctx, by, other, victim.ID, s.ID, "session.revoke", now), waypost.NotFound)
			wantKind(t, y.RemoveUser(ctx, by, other, victim.ID, now), waypost.NotFound)
			_, err = y.DropTOTP(ctx, by, other, victim.ID, "", now)
			wantKind(t, err, waypost.NotFound)
		}
		wantKind(t, y.ActFor(ctx, by, victim.ID, s.ID, thief, now), waypost.NotFound)
		if diff := cmp.Diff(before, everything(t, db)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestChangesOfAUserAreRecordedAndEndWhatReliedOnThem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		op := anOperator(t, db)
		u := newUser(t, db, op, "ann", waypost.RoleAdmin)
		reset := func(token string) {
			t.Helper()
			tok := waypost.UserToken{Hash: hashOf(token), UserID: u.ID, Purpose: waypost.TokenReset, Expires: now.Add(time.Hour)}
			if _, err := db.System.IssueToken(ctx, waypost.CommandLine(), op, tok, now); err != nil {
				t.Fatal(err)
			}
		}
		save := func(edit func(u *waypost.User)) waypost.User {
			t.Helper()
			saved, err := db.System.SaveUser(ctx, self(u), op, u.ID, now, func(u *waypost.User) error { edit(u); return nil })
			if err != nil {
				t.Fatal(err)
			}
			return saved
		}
		signIn(t, db, u, "one")
		reset("link")
		number := change(t, db)
		save(func(u *waypost.User) { u.OperatorID, u.TOTP = "", true }) // none of it can be changed
		got := save(func(u *waypost.User) { u.Name, u.Language, u.TimeZone = "Anna", "", "" })
		if got.Name != "Anna" || got.Login != "ann" || !signedIn(t, db, "one") || change(t, db) != number+2 {
			t.Errorf("%+v", got)
		}
		if _, _, err := db.System.TokenUser(ctx, hashOf("link"), waypost.TokenReset, now); err != nil {
			t.Error(err)
		}
		save(func(u *waypost.User) { u.Email = "new@example.test" })
		_, _, err := db.System.TokenUser(ctx, hashOf("link"), waypost.TokenReset, now)
		wantKind(t, err, waypost.NotFound)
		save(func(u *waypost.User) { u.Role = waypost.RoleViewer })
		if signedIn(t, db, "one") {
			t.Error("signed in after the role changed")
		}
		signIn(t, db, u, "two")
		reset("link 2")
		save(func(u *waypost.User) { u.Disabled = true })
		_, _, err = db.System.TokenUser(ctx, hashOf("link 2"), waypost.TokenReset, now)
		wantKind(t, err, waypost.NotFound)
		wantKind(t, db.System.StartSession(ctx, self(u), aSession(u), hashOf("x"), "old", waypost.SecondFactor{}), waypost.Conflict)
		save(func(u *waypost.User) { u.Disabled = false })
		if signedIn(t, db, "two") {
			t.Error("signed in after being disabled")
		}
		signIn(t, db, u, "three")
		if err := db.System.RemoveUser(ctx, waypost.CommandLine(), op, u.ID, now); err != nil || signedIn(t, db, "three") {
			t.Error("signed in after being removed", err)
		}
		want := []string{
			"cli user.create ann", "user user.sign_in ann", "cli user.reset ann", "user user.change ann", "user user.change ann", "user user.change ann",
			"user user.sign_in ann", "cli user.reset ann", "user user.disable ann", "user user.enable ann", "user user.sign_in ann", "cli user.remove ann",
		}
		if diff := cmp.Diff(want, actions(t, db, op), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Error(diff)
		}
		if left := db.Int(t, "SELECT (SELECT COUNT(*) FROM user_session) + (SELECT COUNT(*) FROM user_token)"); left != 0 {
			t.Error(left, "rows are left")
		}
	})
}

func TestALoginIsChangedToOneThatIsFree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		op := anOperator(t, db)
		u := newUser(t, db, op, "ann", waypost.RoleAdmin)
		newUser(t, db, "", "bob", waypost.RoleSupport)
		signIn(t, db, u, "one")
		as := func(login string) error {
			_, err := db.System.SaveUser(ctx, self(u), op, u.ID, now, func(u *waypost.User) error { u.Login = login; return nil })
			return err
		}
		err := as("bob")
		wantKind(t, err, waypost.Conflict)
		if e := waypost.AsError(err); e.Code != "address_used" || e.Field != "email" {
			t.Errorf("%s at %s", e.Code, e.Field)
		}
		if err := as("anna"); err != nil {
			t.Fatal(err)
		}
		if got, _, err := db.System.UserByLogin(ctx, "anna"); got.ID != u.ID || err != nil || !signedIn(t, db, "one") {
			t.Errorf("%+v, %v", got, err)
		}
		_, _, err = db.System.UserByLogin(ctx, "ann")
		wantKind(t, err, waypost.NotFound)
		entries, err := db.Store.AuditLog(ctx, op, "", 1)
		if err != nil || entries[0].Target != "anna" || entries[0].Detail.String() != `login: "anna", was "ann"` {
			t.Errorf("%+v, %v", entries, err)
		}
	})
}

func TestTheLastOwnerStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now, by := t.Context(), storetest.Now(), waypost.CommandLine()
		owner := newUser(t, db, "", "owner", waypost.RoleOwner)
		newUser(t, db, "", "support", waypost.RoleSupport)
		invited := waypost.User{ID: waypost.NewID(), Login: "invited", Role: waypost.RoleOwner}
		if err := db.System.CreateUser(ctx, by, invited, "", nil, 100); err != nil { // cannot sign in yet
			t.Fatal(err)
		}
		demote := func(u *waypost.User) error { u.Role = waypost.RoleAuditor; return nil }
		disable := func(u *waypost.User) error { u.Disabled = true; return nil }
		for _, edit := range []func(*waypost.User) error{demote, disable} {
			_, err := db.System.SaveUser(ctx, by, "", owner.ID, now, edit)
			wantKind(t, err, waypost.Conflict)
		}
		wantKind(t, db.System.RemoveUser(ctx, by, "", owner.ID, now), waypost.Conflict)
		if err := db.System.RemoveUser(ctx, by, "", invited.ID, now); err != nil {
			t.Error(err)
		}
		// Each sees the other one and goes, on two nodes.
		owners := []waypost.User{owner, newUser(t, db, "", "second", waypost.RoleOwner)}
		won := race(t, db, waypost.Conflict, func(db *storetest.DB, i int) error {
			u := owners[i%2]
			var err error
			if i < 4 {
				_, err = db.System.SaveUser(ctx, by, "", u.ID, now, demote)
			} else {
				err = db.System.RemoveUser(ctx, by, "", u.ID, now)
			}
			if waypost.KindOf(err) == waypost.NotFound {
				err = waypost.NewError(waypost.Conflict, "", "gone already")
			}
			return err
		})
		if n := db.Int(t, "SELECT COUNT(*) FROM app_user WHERE role = 'owner'"); n != 1 || won < 1 {
			t.Errorf("%d owners are left", n)
		}
	})
}

func TestATokenIsRedeemedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		op := anOperator(t, db)
		u := waypost.User{ID: waypost.NewID(), OperatorID: op, Login: "ann", Email: "ann@example.test", Role: waypost.RoleAdmin, Created: now}
		token := waypost.UserToken{Hash: hashOf("invitation"), UserID: u.ID, Purpose: waypost.TokenInvite, Expires: now.Add(time.Hour)}
		if err := db.System.CreateUser(ctx, waypost.CommandLine(), u, "", &token, 100); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.System.StartSession(ctx, self(u), aSession(u), hashOf("x"), "", waypost.SecondFactor{}), waypost.Conflict)
		for what, at := range map[string]time.Time{"reset": now, "invite": token.Expires} {
			_, _, err := db.System.TokenUser(ctx, token.Hash, waypost.TokenPurpose(what), at)
			wantKind(t, err, waypost.NotFound)
		}
		wantKind(t, db.System.RedeemToken(ctx, self(u), token, "", "late", token.Expires), waypost.Conflict)
		// A second invitation replaces the first.
		again := waypost.UserToken{Hash: hashOf("again"), UserID: u.ID, Purpose: waypost.TokenInvite, Expires: now.Add(time.Hour)}
		if _, err := db.System.IssueToken(ctx, waypost.CommandLine(), op, again, now); err != nil {
			t.Fatal(err)
		}
		wantKind(t, db.System.RedeemToken(ctx, self(u), token, "", "first", now), waypost.Conflict)
		won := race(t, db, waypost.Conflict, func(db *storetest.DB, i int) error {
			return db.System.RedeemToken(ctx, self(u), again, "", fmt.Sprint("password ", i), now)
		})
		if won != 1 {
			t.Errorf("redeemed %d times", won)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM user_token"); n != 0 {
			t.Error(n, "tokens are left")
		}
		_, err := db.System.IssueToken(ctx, waypost.CommandLine(), op, again, now)
		wantKind(t, err, waypost.Conflict)
		want := []string{"cli user.create ann", "cli user.invite ann", "cli user.invite ann", "user user.password ann"}
		if diff := cmp.Diff(want, actions(t, db, op), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAskingForAResetWritesAsMuchForNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		u := newUser(t, db, "", "ann", waypost.RoleOwner)
		number := change(t, db)
		for i := range 3 {
			nobodys := []waypost.UserToken{{Hash: hashOf(fmt.Sprint("nobody ", i)), Purpose: waypost.TokenReset, Expires: now.Add(time.Hour)}}
			if err := db.System.RequestReset(ctx, waypost.Policy(), nil, nobodys, now); err != nil {
				t.Fatal(err)
			}
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM user_token"); n != 1 {
			t.Error(n, "rows of nobody")
		}
		_, _, err := db.System.TokenUser(ctx, hashOf("nobody 2"), waypost.TokenReset, now)
		wantKind(t, err, waypost.NotFound)
		for _, token := range []string{"one", "two"} { // the second does not make the first worthless
			tokens := []waypost.UserToken{{Hash: hashOf(token), UserID: u.ID, Purpose: waypost.TokenReset, Expires: now.Add(time.Hour)}}
			if err := db.System.RequestReset(ctx, waypost.Policy(), []waypost.User{u}, tokens, now); err != nil {
				t.Fatal(err)
			}
		}
		if got, _, err := db.System.TokenUser(ctx, hashOf("one"), waypost.TokenReset, now); got.ID != u.ID || err != nil {
			t.Error(got, err)
		}
		if change(t, db) != number {
			t.Error("strangers make every process look again")
		}
	})
}

// totpOn switches TOTP on, the code of step 100 taken.
func totpOn(t *testing.T, db *storetest.DB, u waypost.User, keep string, recovery ...string) {
	t.Helper()
	ctx, now := t.Context(), storetest.Now()
	if err := db.System.ProposeTOTP(ctx, u.ID, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	var tokens []waypost.UserToken
	for _, r := range recovery {
		tokens = append(tokens, waypost.UserToken{Hash: hashOf(r), UserID: u.ID, Purpose: waypost.TokenRecovery})
	}
	wantKind(t, db.System.ConfirmTOTP(ctx, self(u), u.ID, []byte("another"), 100, tokens, keep, now), waypost.Conflict)
	if err := db.System.ConfirmTOTP(ctx, self(u), u.ID, []byte("sealed"), 100, tokens, keep, now); err != nil {
		t.Fatal(err)
	}
}

func TestACodeIsGoodOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx := t.Context()
		u := newUser(t, db, "", "ann", waypost.RoleOwner)
		totpOn(t, db, u, "", "recovery")
		sign := func(db *storetest.DB, i int, f waypost.SecondFactor) error {
			return db.System.StartSession(ctx, self(u), aSession(u), hashOf(fmt.Sprint(i, f.Step, f.Recovery)), "old", f)
		}
		for what, f := range map[string]waypost.SecondFactor{
			"nothing": {}, "the step of the confirmation": {TOTP: []byte("sealed"), Step: 100}, "an earlier one": {TOTP: []byte("sealed"), Step: 99},
			"another secret": {TOTP: []byte("former"), Step: 101}, "no recovery code": {Recovery: hashOf("guess")},
		} {
			if err := sign(db, 0, f); waypost.KindOf(err) != waypost.Conflict {
				t.Errorf("%s: %v", what, err)
			}
		}
		for what, f := range map[string]waypost.SecondFactor{
			"code": {TOTP: []byte("sealed"), Step: 101}, "recovery code": {Recovery: hashOf("recovery")},
		} {
			won := race(t, db, waypost.Conflict, func(db *storetest.DB, i int) error { return sign(db, i, f) })
			if won != 1 {
				t.Errorf("%s: %d signed in", what, won)
			}
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM user_session"); n != 2 {
			t.Error(n, "sessions")
		}
	})
}

func TestTOTPIsSwitchedOnAndOff(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		ctx, now := t.Context(), storetest.Now()
		u := newUser(t, db, "", "ann", waypost.RoleOwner)
		keep := signIn(t, db, u, "one")
		signIn(t, db, u, "two")
		totpOn(t, db, u, keep.ID, "a", "b")
		if !signedIn(t, db, "one") || signedIn(t, db, "two") {
			t.Error("the wrong session has ended")
		}
		got, secrets, err := db.System.UserSecrets(ctx, u.ID)
		if !got.TOTP || string(secrets.TOTP) != "sealed" || len(secrets.TOTPNext) != 0 || secrets.TOTPStep != 100 || err != nil {
			t.Error(got, err)
		}
		if n, err := db.System.RecoveryCodes(ctx, u.ID); n != 2 || err != nil {
			t.Error(n, err)
		}
		wantKind(t, db.System.ProposeTOTP(ctx, u.ID, []byte("more")), waypost.Conflict)
		for _, want := range []bool{true, false} {
			if dropped, err := db.System.DropTOTP(ctx, self(u), "", u.ID, "", now); dropped != want || err != nil {
				t.Fatal(dropped, err)
			}
		}
		if got, _, err := db.System.UserSecrets(ctx, u.ID); got.TOTP || err != nil || signedIn(t, db, "one") {
			t.Error(got, err)
		}
		want := []string{"cli user.create ann", "user user.sign_in ann", "user user.sign_in ann", "user user.totp.off ann", "user user.totp.on ann"}
		if diff := cmp.Diff(want, actions(t, db, waypost.PlatformOperatorID), cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Error(diff)
		}
	})
}
