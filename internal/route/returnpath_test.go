package route_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/waypost"
)

func returnPath() route.ReturnPath {
	return route.ReturnPath{Domain: "bounce.platform.test", Key: []byte("a key of this installation only")}
}

func drawID(t *rapid.T) string {
	return waypost.FormatID([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")))
}

func TestReturnPathNamesItsDelivery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, id := returnPath(), drawID(t)
		address := r.Address(id)
		if local, domain, err := waypost.SplitAddress(address); err != nil || domain != r.Domain || len(local) > 64 {
			t.Fatalf("%q is no address: %v", address, err)
		}
		flip := rapid.SliceOfN(rapid.Bool(), len(address), len(address)).Draw(t, "upper case")
		mixed := []byte(address)
		for i := range mixed {
			if flip[i] {
				mixed[i] = strings.ToUpper(string(mixed[i]))[0]
			}
		}
		for _, a := range []string{address, strings.ToUpper(address), string(mixed)} {
			if got, ok := r.Delivery(a); !ok || got != id {
				t.Fatalf("%q is delivery %q, %v; want %q", a, got, ok, id)
			}
		}
	})
}

func TestReturnPathRefusesAnyChangedCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, id := returnPath(), drawID(t)
		address := r.Address(id)
		at := rapid.IntRange(0, len(address)-1).Draw(t, "at")
		// Bytes that mean something to base32, to addresses, or to nobody.
		other := rapid.OneOf(
			rapid.SampledFrom([]string{"", "\r", "\n", "=", "@", "\u212a", "\u017f", "aa", " "}),
			rapid.Map(rapid.Byte(), func(b byte) string { return string([]byte{b}) }),
		).Draw(t, "instead")
		if strings.EqualFold(other, address[at:at+1]) && len(other) == 1 {
			t.Skip("nothing changed")
		}
		changed := address[:at] + other + address[at+1:]
		if got, ok := r.Delivery(changed); ok {
			t.Fatalf("%q, changed to %q, passes as delivery %q", address, changed, got)
		}
	})
}

// The last character of base32 often has bits that decode to nothing: all 31 others
// must be told from it.
func TestReturnPathHasNoIdleBits(t *testing.T) {
	r := returnPath()
	address := r.Address(waypost.NewID())
	local, _, _ := strings.Cut(address, "@")
	last := len(local) - 1
	for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
		if byte(c) == local[last] {
			continue
		}
		if _, ok := r.Delivery(local[:last] + string(c) + address[last+1:]); ok {
			t.Errorf("%q passes with a last character of %q", address, c)
		}
	}
}

func TestReturnPathOfOthersIsRefused(t *testing.T) {
	r := returnPath()
	id := waypost.NewID()
	stranger := route.ReturnPath{Domain: r.Domain, Key: []byte("another key")}
	elsewhere := route.ReturnPath{Domain: "bounce.other.test", Key: r.Key}
	for name, address := range map[string]string{
		"another installation's key": stranger.Address(id),
		"another domain":             elsewhere.Address(id),
		"no address":                 "bounce",
		"empty":                      "",
		"null path":                  "<>",
		"an ordinary mailbox":        "postmaster@bounce.platform.test",
		"prefix only":                "b-@bounce.platform.test",
		"folds to our domain":        strings.Replace(r.Address(id), ".test", ".te\u017ft", 1),
		"line ends inside":           strings.Replace(r.Address(id), "-", "-\r\n", 1),
	} {
		if got, ok := r.Delivery(address); ok {
			t.Errorf("%s: %q passes as delivery %q", name, address, got)
		}
	}
	if got := r.Address("not a uuid"); got != "" {
		t.Errorf("address of what is no delivery: %q", got)
	}
}

func BenchmarkReturnPath(b *testing.B) {
	r, id := returnPath(), waypost.NewID()
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Address(id)
	}
}
