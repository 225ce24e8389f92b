package limit_test

import (
	"strconv"
	"testing"

	"github.com/waypost/waypost/internal/limit"
)

func TestEachNameHasItsOwnLimit(t *testing.T) {
	l := limit.New(1.0/3600, 3)
	for i := range 5 {
		if spent := l.Spent("a"); spent != (i >= 3) {
			t.Errorf("before %d: spent is %v", i, spent)
		}
		if ok := l.Allow("a"); ok != (i < 3) {
			t.Errorf("%d is allowed: %v", i, ok)
		}
	}
	if l.Spent("b") || !l.Allow("b") {
		t.Error("one name uses up the limit of another")
	}
}

func TestNamesAreForgottenBeforeTheyFillTheMemory(t *testing.T) {
	l := limit.New(1.0/3600, 1)
	l.Allow("first")
	for i := range 10_001 {
		l.Allow(strconv.Itoa(i))
	}
	if !l.Allow("first") {
		t.Error("remembered without end")
	}
}

func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	for peer, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:0:1:2::3": "2001:db8:0:1::/64", "": "", "unix": "unix",
	} {
		if got := limit.Network(peer); got != want {
			t.Errorf("%q: %q, want %q", peer, got, want)
		}
	}
}
