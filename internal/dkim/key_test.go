package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/dkim"
)

func TestGeneratedKeyIsRSA2048(t *testing.T) {
	t.Parallel()
	key := newKey(t, nil)
	if public, ok := key.Public().(*rsa.PublicKey); !ok || public.N.BitLen() != 2048 || public.E != 65537 {
		t.Errorf("public key %v", key.Public())
	}
}

func TestParseKeyRefusesWhatItShould(t *testing.T) {
	t.Parallel()
	marshal := func(key any, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	good, err := dkim.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		der  []byte
		want error
	}{
		{"good", good, nil},
		{"1024 bits", marshal(rsa.GenerateKey(rand.Reader, 1024)), nil},
		{"648 bits", marshal(mersenneKey(127, 521), nil), dkim.ErrKeySize},
		{"5420 bits", marshal(mersenneKey(2203, 3217), nil), dkim.ErrKeySize},
		{"nothing", nil, dkim.ErrKeySyntax},
		{"cut off", good[:len(good)-1], dkim.ErrKeySyntax},
		{"damaged", damaged(good), dkim.ErrKeySyntax},
		{"ECDSA", marshal(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), dkim.ErrKeySyntax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := dkim.ParseKey(tt.der, nil); err != tt.want { //nolint:errorlint // nothing may be wrapped: it could tell of the key
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// mersenneKey returns the key of the primes 2^p-1 and 2^q-1: any size at no cost.
func mersenneKey(p, q uint) *rsa.PrivateKey {
	one, e := big.NewInt(1), big.NewInt(65537)
	prime := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, n), one) }
	a, b := prime(p), prime(q)
	phi := new(big.Int).Mul(new(big.Int).Sub(a, one), new(big.Int).Sub(b, one))
	return &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(a, b), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{b, a},
	}
}

// damaged flips a bit in the middle, within the numbers.
func damaged(der []byte) []byte {
	der = bytes.Clone(der)
	der[len(der)/2] ^= 1
	return der
}

func TestRecordHoldsThePublicKey(t *testing.T) {
	t.Parallel()
	key := newKey(t, nil)
	encoded, ok := strings.CutPrefix(key.Record(), "v=DKIM1; k=rsa; p=")
	if !ok {
		t.Fatalf("record %q", key.Record())
	}
	der, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if !key.Public().(*rsa.PublicKey).Equal(public.(*rsa.PublicKey)) {
		t.Error("another key")
	}
}

func TestSplitTXT(t *testing.T) {
	t.Parallel()
	a := strings.Repeat("a", 255)
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"v=DKIM1", []string{"v=DKIM1"}},
		{a, []string{a}},
		{a + "b", []string{a, "b"}},
		{a + a + "bc", []string{a, a, "bc"}},
	} {
		if diff := cmp.Diff(tt.want, dkim.SplitTXT(tt.text)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestKeySignsNothingButPKCS1v15OverSHA256(t *testing.T) {
	t.Parallel()
	key := newKey(t, dkim.OpenEngine())
	digest := sha256.Sum256([]byte("x"))
	for _, tt := range []struct {
		name   string
		digest []byte
		opts   crypto.SignerOpts
		want   error
	}{
		{"SHA-256", digest[:], crypto.SHA256, nil},
		{"SHA-1", digest[:20], crypto.SHA1, dkim.ErrAlgorithm},
		{"no digest", nil, crypto.SHA256, dkim.ErrAlgorithm},
		{"short", digest[:31], crypto.SHA256, dkim.ErrAlgorithm},
		{"no hash", digest[:], crypto.Hash(0), dkim.ErrAlgorithm},
		{"PSS", digest[:], &rsa.PSSOptions{Hash: crypto.SHA256}, dkim.ErrAlgorithm},
	} {
		if _, err := key.Sign(rand.Reader, tt.digest, tt.opts); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestPrintingAKeyShowsNothingSecret(t *testing.T) {
	t.Parallel()
	der, err := dkim.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	private := parsed.(*rsa.PrivateKey)
	for _, engine := range []*dkim.Engine{nil, dkim.OpenEngine()} {
		key, err := dkim.ParseKey(der, engine)
		if err != nil {
			t.Fatal(err)
		}
		signer := dkim.Signer{Domain: testDomain, Selector: testSelector, Key: key}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
			for _, value := range []any{key, signer, &signer} {
				text := fmt.Sprintf(verb, value)
				for _, secret := range []string{private.D.String(), private.Primes[0].String(), private.D.Text(16), fmt.Sprint(der)} {
					if strings.Contains(text, secret[:40]) {
						t.Errorf("%s of %T shows the key", verb, value)
					}
				}
			}
		}
	}
}

func FuzzParseKey(f *testing.F) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(small)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(damaged(der))
	f.Add([]byte{})
	engine := dkim.OpenEngine()
	digest := sha256.Sum256([]byte("x"))
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := dkim.ParseKey(der, engine)
		if err != nil {
			if err != dkim.ErrKeySyntax && err != dkim.ErrKeySize { //nolint:errorlint // nothing may be wrapped
				t.Fatalf("error %v may tell of the key", err)
			}
			return
		}
		public := key.Public().(*rsa.PublicKey)
		if bits := public.N.BitLen(); bits < 1024 || bits > 4096 {
			t.Fatalf("took a key of %d bits", bits)
		}
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Skip() // a key can be well-formed and wrong
		}
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
			t.Fatal(err)
		}
	})
}
