package auth

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// maxLogin is the length of the longest login.
const maxLogin = 100

// loginAlphabet is small, so that no two logins look alike and none has what cannot be
// seen. Addresses of mail are logins mostly.
const loginAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789._-@+"

// NormalizeLogin returns a login as it is kept and compared, and whether it is one: the
// compatibility form (Unicode NFKC) in lower case without space around it, of ASCII
// letters, digits and ".", "_", "-", "@" and "+", at most 100.
func NormalizeLogin(login string) (string, bool) {
	if len(login) > 10*maxLogin { // long before it is worth looking at
		return "", false
	}
	login = strings.ToLower(norm.NFKC.String(strings.TrimSpace(login)))
	login = strings.TrimSpace(login) // NFKC makes plain spaces of others
	if login == "" || len(login) > maxLogin || strings.Trim(login, loginAlphabet) != "" || strings.Trim(login, "._-@+") == "" {
		return "", false
	}
	return login, true
}
