package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// dumpedMail returns the one mail that smtp-sink wrote to a folder, with the line
// ends it had on the wire.
func dumpedMail(dir string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	if len(paths) != 1 {
		return "", fmt.Errorf("%d mails instead of one reached the sink", len(paths))
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		return "", err
	}
	// The sink ends each mail with an empty line of its own.
	return strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", "\r\n"), nil
}

// checkSignature verifies the DKIM signature that the platform domain must have put
// on a mail: RSA with a key of 2048 bits, which go-msgauth cannot tell, so it is
// told by the length of the signature.
func checkSignature(mail string, txt func(string) ([]string, error)) error {
	verifications, err := dkim.VerifyWithOptions(strings.NewReader(mail), &dkim.VerifyOptions{LookupTXT: txt})
	if err != nil {
		return err
	}
	for _, v := range verifications {
		if v.Domain != platformDomain {
			continue
		}
		if v.Err != nil {
			return fmt.Errorf("its DKIM signature is broken: %w", v.Err)
		}
		if n := signatureLength(mail); n != 256 {
			return fmt.Errorf("its signature has %d bytes instead of the 256 of RSA-2048", n)
		}
		return nil
	}
	return errors.New("it does not sign as " + platformDomain)
}

// signatureLength returns the bytes of the first DKIM signature in a mail.
func signatureLength(mail string) int {
	unfolded := strings.NewReplacer("\r\n\t", "", "\r\n ", "").Replace(mail)
	for line := range strings.Lines(unfolded) {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "DKIM-Signature") {
			continue
		}
		for tag := range strings.SplitSeq(value, ";") {
			key, b, _ := strings.Cut(strings.TrimSpace(tag), "=")
			if key == "b" {
				b = strings.TrimRight(strings.Join(strings.Fields(b), ""), "=")
				return len(b) * 6 / 8
			}
		}
	}
	return 0
}
