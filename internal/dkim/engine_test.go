package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/dkim"
)

// openLibcrypto skips a test where there is no libcrypto, but not in CI, where
// there has to be one.
func openLibcrypto(t testing.TB) *dkim.Engine {
	t.Helper()
	engine := dkim.OpenEngine()
	if engine.Reason() == "" {
		return engine
	}
	if os.Getenv("CI") != "" && !strings.Contains(engine.Reason(), "built without") {
		t.Fatal(engine.Reason())
	}
	t.Skip(engine.Reason())
	return nil
}

func TestOpenEngineNamesWhatItFound(t *testing.T) {
	t.Parallel()
	engine := dkim.OpenEngine()
	switch {
	case engine.Name() == "crypto/rsa" && engine.Reason() != "":
	case strings.HasPrefix(engine.Name(), "libcrypto 3.") && engine.Reason() == "":
	default:
		t.Errorf("name %q, reason %q", engine.Name(), engine.Reason())
	}
	if goEngine := dkim.GoEngine(); goEngine.Name() != "crypto/rsa" || goEngine.Reason() != "" {
		t.Errorf("name %q, reason %q", goEngine.Name(), goEngine.Reason())
	}
}

func TestLibcryptoMakesTheSignaturesOfCryptoRSA(t *testing.T) {
	t.Parallel()
	engine := openLibcrypto(t)
	der, err := dkim.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	fast, err := dkim.ParseKey(der, engine)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := dkim.ParseKey(der, dkim.GoEngine())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(fast.String(), engine.Name()) || !strings.HasSuffix(slow.String(), "crypto/rsa") {
		t.Errorf("keys %v and %v", fast, slow)
	}
	for i := range byte(20) {
		digest := sha256.Sum256([]byte{i})
		a, err := fast.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		b, err := slow.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) { // PKCS #1 v1.5 has one signature for a digest
			t.Fatalf("digest %d: %x and %x", i, a, b)
		}
	}
}

func TestKeysSignConcurrentlyWhileOthersAreCollected(t *testing.T) {
	t.Parallel()
	engine := openLibcrypto(t)
	shared := newKey(t, engine)
	der, err := dkim.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range byte(8) {
		group.Go(func() {
			for round := range byte(10) {
				own, err := dkim.ParseKey(der, engine) // garbage after this round
				if err != nil {
					t.Error(err)
					return
				}
				for _, key := range []*dkim.Key{shared, own, shared} {
					digest := sha256.Sum256([]byte{worker, round})
					signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
					if err != nil {
						t.Error(err)
						return
					}
					if err := rsa.VerifyPKCS1v15(key.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
						t.Error(err)
					}
				}
				runtime.GC()
			}
		})
	}
	group.Wait()
}

func TestALibraryThatSignsWronglyIsNotTrusted(t *testing.T) {
	t.Parallel()
	liar := dkim.LyingEngine()
	if err := liar.Try(); err == nil {
		t.Error("trusted at start-up")
	}
	key := newKey(t, liar)
	if !strings.HasSuffix(key.String(), "crypto/rsa") {
		t.Errorf("key %v", key)
	}
	digest := sha256.Sum256([]byte("x"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(key.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}

func TestStaticBuildLeavesPuregoOut(t *testing.T) {
	t.Parallel()
	const purego = "github.com/ebitengine/purego"
	usual := runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64")
	for tags, want := range map[string]bool{"": usual, "static": false} {
		out, err := exec.Command("go", "list", "-deps", "-tags", tags, ".").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := strings.Contains(string(out), purego+"\n"); got != want {
			t.Errorf("tags %q: purego among the dependencies: %v", tags, got)
		}
	}
}
