package auth_test

import (
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestASecretThatWaitsForItsFirstCodeCanBeShownAgain(t *testing.T) {
	p := newPeople(t)
	u := p.user(t, "", "ann", waypost.RoleOwner)
	_, s := p.signIn(t, u.Login, home)
	if _, err := p.Enrolled(t.Context(), s); waypost.AsError(err).Code != "totp_not_enrolled" {
		t.Errorf("%v", err)
	}
	first, err := p.Enroll(t.Context(), s, good)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Enrolled(t.Context(), s)
	if err != nil || again.Secret.Reveal() != first.Secret.Reveal() || again.URI.Reveal() != first.URI.Reveal() || again.SVG.Reveal() != first.SVG.Reveal() {
		t.Errorf("another secret: %v", err)
	}
	other := p.user(t, "", "bob", waypost.RoleOwner)
	_, others := p.signIn(t, other.Login, home)
	if _, err := p.Enrolled(t.Context(), others); waypost.KindOf(err) != waypost.Conflict {
		t.Errorf("%v", err)
	}
}

func TestLinksForOthersAreNotSentWithoutEnd(t *testing.T) {
	p := newPeople(t)
	op := p.operator(t)
	u := p.user(t, op, "ann", waypost.RoleViewer)
	sent := 0
	for range 30 {
		_, err := p.IssueReset(t.Context(), waypost.CommandLine(), op, u.ID)
		switch {
		case err == nil:
			sent++
		case waypost.KindOf(err) != waypost.RateLimited:
			t.Fatal(err)
		}
	}
	if sent != 20 {
		t.Errorf("%d links", sent)
	}
	if got, err := p.Any(t.Context(), u.ID); err != nil || got != u {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := p.Any(t.Context(), waypost.NewID()); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("%v", err)
	}
}
