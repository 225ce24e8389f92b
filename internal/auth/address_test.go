package auth_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func TestWhoeverHasAnothersAddressForALoginKeepsNoLinkFromIt(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	p.user(t, op, "ann", waypost.RoleAdmin)
	eve := p.user(t, p.operator(t), "eve", waypost.RoleViewer)
	// As users could be made before a login that is an address had to be their own.
	p.db.Exec(t, "UPDATE app_user SET login = 'ann@example.test' WHERE id = $1", eve.ID)
	issued, err := p.RequestReset(t.Context(), "Ann@example.test", home)
	if err != nil {
		t.Fatal(err)
	}
	var to []string
	for _, i := range issued {
		to = append(to, i.User.Login+" at "+i.User.Email)
	}
	slices.Sort(to)
	if diff := cmp.Diff([]string{"ann at ann@example.test", "ann@example.test at eve@example.test"}, to); diff != "" {
		t.Error(diff)
	}
}

func TestALoginThatIsAnAddressIsTheUsersOwn(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	made, err := p.Create(t.Context(), waypost.CommandLine(), auth.NewUser{OperatorID: op, Login: "Ann@example.test", Role: waypost.RoleAdmin}, good)
	if err != nil || made.Email != "ann@example.test" {
		t.Fatalf("%+v, %v", made, err)
	}
	p.user(t, "", "boss@example.test", waypost.RoleOwner)
	move := func(id, operatorID, address string) (waypost.User, error) {
		return p.Change(t.Context(), waypost.CommandLine(), operatorID, id, func(u *waypost.User) { u.Email, u.Login = address, "ignored" })
	}
	_, err = move(made.ID, op, "boss@example.test") // another's
	wantCode(t, err, waypost.Conflict, "address_used")
	for _, address := range []string{"", "o'ann@example.test", "\uff41nn@example.test"} { // none, and two that no login can be
		_, err = move(made.ID, op, address)
		if e := waypost.AsError(err); e.Code != "address_is_login" || e.Field != "email" {
			t.Errorf("%q: %v", address, err)
		}
	}
	moved, err := move(made.ID, op, "Anna@example.test")
	if err != nil || moved.Login != "anna@example.test" || moved.Email != "anna@example.test" {
		t.Errorf("%+v, %v", moved, err)
	}
	p.signIn(t, "anna@example.test", home)
	if _, err := p.SignIn(t.Context(), "ann@example.test", good, home, ""); err == nil {
		t.Error("the old login still signs in")
	}
	// Other logins stay whatever the address is.
	bob := p.user(t, op, "bob", waypost.RoleViewer)
	if got, err := move(bob.ID, op, ""); err != nil || got.Login != "bob" || got.Email != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUsersFromBeforeTheRuleAboutLoginsStay(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	u := p.user(t, op, "bob", waypost.RoleAdmin)
	p.db.Exec(t, "UPDATE app_user SET login = 'bob@elsewhere.test' WHERE id = $1", u.ID)
	p.signIn(t, "bob@elsewhere.test", home)
	got, err := p.Change(t.Context(), waypost.CommandLine(), op, u.ID, func(u *waypost.User) { u.Name = "Bob" })
	if err != nil || got.Login != "bob@elsewhere.test" || got.Email != "bob@example.test" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = p.Change(t.Context(), waypost.CommandLine(), op, u.ID, func(u *waypost.User) { u.Email = "bob@new.test" })
	if err != nil || got.Login != "bob@new.test" {
		t.Errorf("%+v, %v", got, err)
	}
}
