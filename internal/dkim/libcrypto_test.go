//go:build linux && (amd64 || arm64) && !static

package dkim

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestLibcryptoErrorsAreReportedAndCleared(t *testing.T) {
	t.Parallel()
	lib, err := bindLibcrypto()
	if err != nil {
		t.Skip(err) // TestLibcryptoMakesTheSignaturesOfCryptoRSA fails in CI for this
	}
	failed := errors.New("d2i_PrivateKey_bio")
	fail := func() error {
		junk := []byte("not a key")
		bio := lib.bioNewMemBuf(&junk[0], int32(len(junk)))
		defer lib.bioFree(bio)
		defer runtime.KeepAlive(junk)
		if lib.d2iPrivateKeyBIO(bio, 0) != 0 {
			t.Error("took junk for a key")
		}
		return failed
	}
	// The outer do keeps the thread, so it sees what the inner one left.
	err = lib.do(func() error {
		err := lib.do(fail)
		if !errors.Is(err, failed) || !strings.Contains(err.Error(), "error:") {
			t.Errorf("error %v, want libcrypto's words", err)
		}
		return failed
	})
	if err.Error() != failed.Error() {
		t.Errorf("error %v, want an empty queue", err)
	}
}
