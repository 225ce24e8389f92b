package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/secret"
)

// rawKey returns a key that differs for each n.
func rawKey(n byte) []byte {
	key := make([]byte, secret.KeySize)
	for i := range key {
		key[i] = byte(i)*7 + n
	}
	return key
}

func ring(t testing.TB, keys ...byte) *secret.Ring {
	t.Helper()
	var older [][]byte
	for _, n := range keys[1:] {
		older = append(older, rawKey(n))
	}
	r, err := secret.NewRing(rawKey(keys[0]), older...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpenReturnsWhatWasSealedForTheSameContextOnly(t *testing.T) {
	r := ring(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		context := rapid.String().Draw(t, "context")
		other := rapid.String().Filter(func(s string) bool { return s != context }).Draw(t, "other")
		sealed := r.Seal(context, plaintext)
		got, err := r.Open(context, sealed)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("Open = %x, %v; want %x", got, err, plaintext)
		}
		if _, err := r.Open(other, sealed); !errors.Is(err, secret.ErrCorrupt) {
			t.Fatalf("Open for another context: %v, want ErrCorrupt", err)
		}
	})
}

func TestOpenRefusesAnyChangedByte(t *testing.T) {
	r := ring(t, 1)
	sealed := r.Seal("gateway.password/7", []byte("hunter2"))
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			if got, err := r.Open("gateway.password/7", bad); err == nil {
				t.Fatalf("byte %d bit %d: opened as %q", i, bit, got)
			}
		}
	}
}

func TestOpenRefusesAnyOtherLength(t *testing.T) {
	r := ring(t, 1)
	sealed := r.Seal("x", []byte("hunter2"))
	for n := range sealed {
		if _, err := r.Open("x", sealed[:n]); !errors.Is(err, secret.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v, want ErrCorrupt", n, len(sealed), err)
		}
	}
	if _, err := r.Open("x", append(sealed, 0)); !errors.Is(err, secret.ErrCorrupt) {
		t.Fatalf("one byte more: %v, want ErrCorrupt", err)
	}
}

func TestSealDiffersEveryTimeAndHidesThePlaintext(t *testing.T) {
	r := ring(t, 1)
	a, b := r.Seal("x", []byte("hunter2")), r.Seal("x", []byte("hunter2"))
	if bytes.Equal(a, b) {
		t.Error("two sealed values are equal")
	}
	if bytes.Contains(a, []byte("hunter2")) {
		t.Error("the plaintext shows")
	}
}

func TestRotationOpensOldValuesAndSealsWithTheNewKey(t *testing.T) {
	before, during, after := ring(t, 1), ring(t, 2, 1), ring(t, 2)
	old := before.Seal("x", []byte("hunter2"))
	got, err := during.Open("x", old)
	if err != nil || string(got) != "hunter2" {
		t.Fatalf("Open of an old value = %q, %v", got, err)
	}
	if before.Stale(old) || !during.Stale(old) {
		t.Error("Stale does not tell the current key from an older one")
	}
	fresh := during.Seal("x", got)
	if during.Stale(fresh) {
		t.Error("a value sealed anew is stale")
	}
	if _, err := after.Open("x", fresh); err != nil {
		t.Errorf("the new key alone: %v", err)
	}
	if _, err := after.Open("x", old); !errors.Is(err, secret.ErrUnknownKey) {
		t.Errorf("old value without the old key: %v, want ErrUnknownKey", err)
	}
}

func TestKeyCheckTellsKeysApart(t *testing.T) {
	one, two, both := ring(t, 1), ring(t, 2), ring(t, 2, 1)
	if one.KeyCheck() != ring(t, 1).KeyCheck() || one.KeyCheck() == two.KeyCheck() || len(one.KeyCheck()) != 22 {
		t.Fatalf("KeyCheck: %q and %q", one.KeyCheck(), two.KeyCheck())
	}
	if both.KeyCheck() != two.KeyCheck() {
		t.Error("KeyCheck is not that of the current key")
	}
	for _, tt := range []struct {
		ring  *secret.Ring
		check string
		want  bool
	}{
		{one, one.KeyCheck(), true},
		{one, two.KeyCheck(), false},
		{both, one.KeyCheck(), true},
		{both, two.KeyCheck(), true},
		{both, "", false},
	} {
		if got := tt.ring.HasKeyCheck(tt.check); got != tt.want {
			t.Errorf("HasKeyCheck(%q) = %t", tt.check, got)
		}
	}
}

func TestDerivedKeysAreIndependentAndStable(t *testing.T) {
	one, both := ring(t, 1), ring(t, 2, 1)
	verp := one.Derive("verp")
	if len(verp) != secret.KeySize || !bytes.Equal(verp, ring(t, 1).Derive("verp")) {
		t.Error("Derive is not stable")
	}
	if bytes.Equal(verp, one.Derive("credential")) || bytes.Equal(verp, both.Derive("verp")) {
		t.Error("two labels or keys derive the same")
	}
	want := [][]byte{ring(t, 2).Derive("verp"), verp}
	if diff := cmp.Diff(want, both.DeriveAll("verp")); diff != "" {
		t.Errorf("DeriveAll (-want +got):\n%s", diff)
	}
}

// Values of an earlier version, computed once: what is stored must stay readable.
func TestStoredValuesStayValid(t *testing.T) {
	r := ring(t, 1)
	sealed, err := base64.StdEncoding.DecodeString(goldenSealed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Open("golden", sealed); err != nil || string(got) != "hunter2" {
		t.Errorf("Open = %q, %v", got, err)
	}
	if got := r.KeyCheck(); got != goldenCheck {
		t.Errorf("KeyCheck = %q, want %q", got, goldenCheck)
	}
	if got := hex.EncodeToString(r.Derive("verp")); got != goldenDerived {
		t.Errorf("Derive = %s, want %s", got, goldenDerived)
	}
}

const (
	goldenSealed  = "ARPiC9imM05CBkxWRQ0JIT51mlQct3mckNIBvrQMO6fcyDYPJs8WuC7HO7zXrGFa2FO5oQ=="
	goldenCheck   = "d9Apy7-s4BG9rXtLcofTxw"
	goldenDerived = "5c6287df95c2e558c59e34e50313df153a1ddc6d9995b707ece91685e48761e5"
)

func TestParseTakesHexAndBase64(t *testing.T) {
	want := ring(t, 1).KeyCheck()
	for name, text := range map[string]string{
		"hex":             hex.EncodeToString(rawKey(1)),
		"upper-case hex":  strings.ToUpper(hex.EncodeToString(rawKey(1))),
		"base64":          base64.StdEncoding.EncodeToString(rawKey(1)),
		"raw base64":      base64.RawStdEncoding.EncodeToString(rawKey(1)),
		"URL base64":      base64.URLEncoding.EncodeToString(rawKey(1)),
		"with line end":   base64.StdEncoding.EncodeToString(rawKey(1)) + "\r\n",
		"two, comma":      hex.EncodeToString(rawKey(1)) + ", " + hex.EncodeToString(rawKey(2)),
		"two, on lines":   hex.EncodeToString(rawKey(1)) + "\n" + base64.StdEncoding.EncodeToString(rawKey(2)) + "\n",
		"leading spaces ": "  " + hex.EncodeToString(rawKey(1)),
	} {
		r, err := secret.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if r.KeyCheck() != want {
			t.Errorf("%s: another key", name)
		}
	}
}

func TestParseRefusesWhatIsNoKeyWithoutQuotingIt(t *testing.T) {
	key := hex.EncodeToString(rawKey(1))
	for name, text := range map[string]string{
		"empty":        "",
		"blank":        " \n,",
		"short":        key[:62],
		"long":         key + "00",
		"not hex":      key[:63] + "g",
		"passphrase":   "correct-horse-battery-staple",
		"zeros":        strings.Repeat("0", 64),
		"twice":        key + "," + key,
		"good and bad": key + "\nhunter2",
	} {
		_, err := secret.Parse(text)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, word := range []string{key[:16], "horse", "hunter2"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error quotes the text: %v", name, err)
			}
		}
	}
}

func TestCreateWritesAKeyThatLoadReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "instance.key")
	made, err := secret.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := secret.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.KeyCheck() != read.KeyCheck() {
		t.Error("another key was read")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestCreateNeverReplacesAKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "instance.key")
	first, err := secret.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v, want fs.ErrExist", err)
	}
	if read, err := secret.Load(path); err != nil || read.KeyCheck() != first.KeyCheck() {
		t.Errorf("the key has changed: %v", err)
	}
}

func TestLoadNamesTheFileAndNotItsContent(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none")
	if _, err := secret.Load(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v, want fs.ErrNotExist", err)
	}
	for name, text := range map[string]string{"bad": "hunter2\n", "large": strings.Repeat("hunter2\n", 10_000)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := secret.Load(path)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextNeverShows(t *testing.T) {
	type exported struct {
		Password secret.Text `json:"password"`
		Pointer  *secret.Text
	}
	type unexported struct{ password secret.Text }
	password := secret.NewText("hunter2")
	values := []any{
		password, &password,
		exported{password, &password},
		&exported{password, &password},
		unexported{password},
		&unexported{password},
		[]unexported{{password}},
		[]secret.Text{password},
		map[string]secret.Text{"k": password},
		map[secret.Text]int{password: 1},
		struct{ V any }{password},
		ring(t, 1),
	}
	leaks := []string{"hunter2", hex.EncodeToString([]byte("hunter2")), hex.EncodeToString([]byte("hunter2"))[:6], "104 117 110", "0x68, 0x75"}
	check := func(how, shown string) {
		t.Helper()
		for _, leak := range leaks {
			if strings.Contains(strings.ToLower(shown), leak) {
				t.Errorf("%s shows the secret: %s", how, shown)
			}
		}
	}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s", "% x"} {
			check(fmt.Sprintf("%T with %s", v, verb), fmt.Sprintf(verb, v))
		}
		if text, err := json.Marshal(v); err == nil {
			check(fmt.Sprintf("%T as JSON", v), string(text))
		}
		for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b bytes.Buffer
			slog.New(handler(&b)).Info("m", "v", v, slog.Group("g", slog.Any("v", v)))
			check(fmt.Sprintf("%T in the %s log", v, name), b.String())
		}
		check(fmt.Sprintf("%T in an error", v), fmt.Errorf("login with %v failed", v).Error())
	}
}

func TestTextShowsWhetherThereIsOne(t *testing.T) {
	for _, tt := range []struct {
		text       secret.Text
		show, json string
	}{
		{secret.NewText("hunter2"), "[redacted]", `"[redacted]"`},
		{secret.NewText(""), "", `""`},
		{secret.Text{}, "", `""`},
	} {
		if got := fmt.Sprintf("%v|%+v|%#v|%q", tt.text, tt.text, tt.text, tt.text); got != strings.Repeat(tt.show+"|", 3)+tt.show {
			t.Errorf("fmt: %s", got)
		}
		if got, err := json.Marshal(tt.text); err != nil || string(got) != tt.json {
			t.Errorf("JSON: %s, %v", got, err)
		}
		if got := tt.text.LogValue().String(); got != tt.show {
			t.Errorf("slog: %s", got)
		}
	}
}

func TestTextIsEqualByValue(t *testing.T) {
	a := secret.NewText("hunter2")
	if !a.Equal(secret.NewText("hunter2")) || a.Equal(secret.NewText("hunter3")) || a.Equal(secret.Text{}) || !(secret.Text{}).Equal(secret.NewText("")) {
		t.Error("Equal does not compare values")
	}
	if a.Reveal() != "hunter2" || a.Empty() || !(secret.Text{}).Empty() {
		t.Error("Reveal or Empty is wrong")
	}
}

func TestTextIsSealedAndOpened(t *testing.T) {
	r := ring(t, 1)
	got, err := r.OpenText("x", r.SealText("x", secret.NewText("hunter2")))
	if err != nil || got.Reveal() != "hunter2" {
		t.Errorf("OpenText = %q, %v", got.Reveal(), err)
	}
	if got, err := r.OpenText("y", r.SealText("x", secret.NewText("hunter2"))); err == nil || !got.Empty() {
		t.Errorf("OpenText for another context: %v, %v", got.Empty(), err)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f, 1)
	f.Add("", []byte{})
	f.Add("x", r.Seal("x", []byte("hunter2"))[:44])
	f.Fuzz(func(t *testing.T, context string, sealed []byte) {
		if got, err := r.Open(context, sealed); err == nil {
			t.Fatalf("a forged value opened as %q", got)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(hex.EncodeToString(rawKey(1)))
	f.Add(base64.StdEncoding.EncodeToString(rawKey(1)) + ",")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := secret.Parse(text)
		if (r == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", r, err)
		}
	})
}
