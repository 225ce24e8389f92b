package dkim_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestOpenDKIMAcceptsEveryShape has the opendkim program judge files: -t verifies
// them and exits, TestDNSData stands in for the DNS.
func TestOpenDKIMAcceptsEveryShape(t *testing.T) {
	t.Parallel()
	program, err := findOpenDKIM()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	signer := newSigner(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dns := write("dns", fmt.Sprintf("%s._domainkey.%s %s\n", testSelector, testDomain, signer.Key.Record()))
	conf := write("conf", "TestDNSData file:"+dns+"\n")
	judge := func(path string) string {
		t.Helper()
		out, err := exec.Command(program, "-x", conf, "-t", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	accepted := regexp.MustCompile(`verification \(s=` + testSelector + `,? d=` + testDomain + `, 2048-bit key\) succeeded`)

	for i, s := range shapes() {
		if s.name == "space before colon" {
			continue // libopendkim takes no message with such a field
		}
		t.Run(s.name, func(t *testing.T) {
			field, err := signer.Sign([]byte(s.header), []byte(s.body), signTime())
			if err != nil {
				t.Fatal(err)
			}
			message := string(field) + s.header + "\r\n" + s.body
			if !strings.HasSuffix(message, "\r\n") {
				message += "\r\n" // SMTP would add it, and -t drops a line without
			}
			if out := judge(write(fmt.Sprintf("%d.eml", i), message)); !accepted.MatchString(out) {
				t.Errorf("%s%s", out, field)
			}
			// The judge can say no.
			changed := strings.Replace(message, "From:", "From: x", 1)
			if s.name == "plain" && accepted.MatchString(judge(write("changed.eml", changed))) {
				t.Error("accepted with a changed From")
			}
		})
	}
}

// findOpenDKIM finds the program, also in the place for daemons, which a user's
// PATH may lack.
func findOpenDKIM() (string, error) {
	path, err := exec.LookPath("opendkim")
	if err == nil {
		return path, nil
	}
	if _, statErr := os.Stat("/usr/sbin/opendkim"); statErr == nil {
		return "/usr/sbin/opendkim", nil
	}
	return "", err
}
