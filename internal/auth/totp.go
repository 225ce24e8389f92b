package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
	"rsc.io/qr"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	totpPeriod  = 30 // seconds (RFC 6238 section 5.2)
	totpDigits  = 6
	totpSecret  = 20 // bytes, the length of the hash (RFC 4226 section 4, R6)
	totpSkew    = 1  // steps before and after, for slow people and clocks (RFC 6238 section 5.2)
	recoveries  = 10
	recoveryLen = 16 // characters of five bits: nothing to guess, so their hash needs no salt
)

// Enrollment is a new TOTP secret, for the user's app. It is not asked for before Confirm.
type Enrollment struct {
	Secret secret.Text // to type it in: base32
	URI    secret.Text // otpauth://totp/...
	SVG    secret.Text // the URI as a QR code
}

func totpContext(userID string) string { return "user.totp/" + userID }

// Enroll makes a secret for the user of a session; one that waits for its first code is
// replaced. It takes the password: who finds a browser open must not lock its user out. Errors
// are those of VerifyPassword, and Conflict if TOTP is on.
func (u *Users) Enroll(ctx context.Context, s Session, password string) (Enrollment, error) {
	if err := u.VerifyPassword(ctx, s, password); err != nil {
		return Enrollment{}, err
	}
	key, err := u.totpKey(s.User.Login, random(totpSecret))
	if err != nil {
		return Enrollment{}, err
	}
	if err := u.store.ProposeTOTP(ctx, s.User.ID, u.ring.Seal(totpContext(s.User.ID), []byte(key.Secret()))); err != nil {
		return Enrollment{}, err
	}
	return enrollment(key)
}

func enrollment(key *otp.Key) (Enrollment, error) {
	svg, err := qrCode(key.URL())
	if err != nil {
		return Enrollment{}, err
	}
	return Enrollment{Secret: secret.NewText(key.Secret()), URI: secret.NewText(key.URL()), SVG: secret.NewText(svg)}, nil
}

// Enrolled returns the secret that Enroll made and that waits for its first code, for who
// mistyped it. The error is Conflict if there is none.
func (u *Users) Enrolled(ctx context.Context, s Session) (Enrollment, error) {
	_, secrets, err := u.store.UserSecrets(ctx, s.User.ID)
	if err != nil {
		return Enrollment{}, err
	}
	if len(secrets.TOTPNext) == 0 {
		return Enrollment{}, notEnrolled()
	}
	text, err := u.ring.OpenText(totpContext(s.User.ID), secrets.TOTPNext)
	if err != nil {
		return Enrollment{}, fmt.Errorf("TOTP secret of user %s: %w", s.User.ID, err)
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text.Reveal())
	if err != nil {
		return Enrollment{}, fmt.Errorf("TOTP secret of user %s is damaged", s.User.ID)
	}
	key, err := u.totpKey(s.User.Login, raw)
	if err != nil {
		return Enrollment{}, err
	}
	return enrollment(key)
}

// totpKey is what an app needs to know of a secret.
func (u *Users) totpKey(login string, raw []byte) (*otp.Key, error) {
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: u.issuer, AccountName: login, Period: totpPeriod, Secret: raw,
		Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1, // all that apps agree about
	})
	if err != nil {
		return nil, fmt.Errorf("make TOTP key: %w", err)
	}
	return key, nil
}

func notEnrolled() error {
	return waypost.NewError(waypost.Conflict, "totp_not_enrolled", "scan a new code first")
}

// Confirm switches TOTP on with a code of the secret that Enroll made, ends the user's other
// sessions, and returns ten recovery codes, which nobody can read again. Errors are Invalid
// for a wrong code and Conflict if there is nothing to confirm.
func (u *Users) Confirm(ctx context.Context, s Session, code string) (recovery []string, err error) {
	if ok, _ := u.own.take(u.now(), s.User.ID); !ok {
		return nil, throttled()
	}
	_, secrets, err := u.store.UserSecrets(ctx, s.User.ID)
	if err != nil {
		return nil, err
	}
	if len(secrets.TOTPNext) == 0 {
		return nil, notEnrolled()
	}
	step, err := u.matchingStep(s.User.ID, secrets.TOTPNext, code)
	if err != nil {
		return nil, err
	}
	if step == 0 {
		return nil, &waypost.Error{Kind: waypost.Invalid, Code: "code_wrong", Field: "code", Message: "not the code that is shown now: is the clock right?"}
	}
	tokens := make([]waypost.UserToken, recoveries)
	for i := range tokens {
		c := newRecoveryCode()
		tokens[i] = waypost.UserToken{Hash: recoveryHash(s.User.ID, c), UserID: s.User.ID, Purpose: waypost.TokenRecovery}
		recovery = append(recovery, c[0:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:16])
	}
	defer u.Changed(ctx)
	if err := u.store.ConfirmTOTP(ctx, s.Actor(), s.User.ID, secrets.TOTPNext, step, tokens, s.ID, u.now()); err != nil {
		return nil, err
	}
	u.own.forget(s.User.ID)
	return recovery, nil
}

// DisableTOTP stops asking the user of a session for codes and ends the user's other
// sessions. It reports whether the user was asked for any. Errors are those of VerifyPassword.
func (u *Users) DisableTOTP(ctx context.Context, s Session, password string) (bool, error) {
	if err := u.VerifyPassword(ctx, s, password); err != nil {
		return false, err
	}
	defer u.Changed(ctx)
	return u.store.DropTOTP(ctx, s.Actor(), s.User.OperatorID, s.User.ID, s.ID, u.now())
}

// DropTOTP stops asking a user of an operator for codes, and ends the user's sessions: for
// who helps somebody that lost app and recovery codes. It reports whether the user was asked
// for any. The error is NotFound.
func (u *Users) DropTOTP(ctx context.Context, by waypost.Actor, operatorID, userID string) (bool, error) {
	defer u.Changed(ctx)
	return u.store.DropTOTP(ctx, by, operatorID, userID, "", u.now())
}

// RecoveryCodes counts the recovery codes a user has left.
func (u *Users) RecoveryCodes(ctx context.Context, userID string) (int64, error) {
	return u.store.RecoveryCodes(ctx, userID)
}

// checkCode finds out what a code is: of the app, or a recovery code. Whether it was used
// before is decided when the session starts.
func (u *Users) checkCode(ctx context.Context, user waypost.User, secrets waypost.UserSecrets, code string) (waypost.SecondFactor, error) {
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' {
			return -1
		}
		return r
	}, strings.ToLower(code[:min(len(code), 64)]))
	if len(code) == recoveryLen {
		hash := recoveryHash(user.ID, code)
		owner, _, err := u.store.TokenUser(ctx, hash, waypost.TokenRecovery, u.now())
		if missing(err) || err == nil && owner.ID != user.ID {
			err = notSignedIn()
		}
		return waypost.SecondFactor{Recovery: hash}, err
	}
	step, err := u.matchingStep(user.ID, secrets.TOTP, code)
	if err == nil && step <= secrets.TOTPStep { // RFC 6238 section 5.2: never a second time
		err = notSignedIn()
	}
	return waypost.SecondFactor{TOTP: secrets.TOTP, Step: step}, err
}

// matchingStep returns the time step whose code this is, 0 for none.
func (u *Users) matchingStep(userID string, sealed []byte, code string) (int64, error) {
	key, err := u.ring.OpenText(totpContext(userID), sealed)
	if err != nil {
		return 0, fmt.Errorf("TOTP secret of user %s: %w", userID, err)
	}
	now := u.now().Unix() / totpPeriod
	var found int64
	for step := now - totpSkew; step <= now+totpSkew; step++ {
		// Only a length that is wrong, or a secret that is none, makes an error.
		ok, err := hotp.ValidateCustom(code, uint64(step), key.Reveal(), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && ok {
			found = step
		}
	}
	return found, nil
}

func newRecoveryCode() string {
	return base32.NewEncoding(alphabet).EncodeToString(random(recoveryLen * 5 / 8))
}

func recoveryHash(userID, code string) []byte {
	sum := sha256.Sum256([]byte(userID + " " + code))
	return sum[:]
}

// qrCode draws a text, one path for all modules, with the quiet zone of four modules that
// ISO/IEC 18004 wants.
func qrCode(text string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("make QR code: %w", err)
	}
	const quiet = 4
	side := code.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="`, side, side, side, side)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
