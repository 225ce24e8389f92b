package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	stateFor       = 5 * time.Minute
	stateContext   = "sign in, second step"
	recordTimeout  = 10 * time.Second
	fingerprintLen = 16
)

// SignedIn is what came of signing in: a token, or a state if a code is asked for now.
type SignedIn struct {
	Token   secret.Text // of the session
	State   secret.Text // for SecondStep; empty if there is a token
	Expires time.Time   // of either
}

// notSignedIn is the one answer to a wrong login, password or code and to a user who may
// not sign in: it tells nobody which.
func notSignedIn() error {
	return waypost.NewError(waypost.Unauthenticated, "sign_in_failed", "login, password or code is wrong")
}

// startAgain is the answer to a state that is no longer good.
func startAgain() error {
	return waypost.NewError(waypost.Unauthenticated, "sign_in_expired", "that took too long: sign in again")
}

// SignIn checks login and password of a client, peer being its address and agent what its
// browser calls itself. Errors are Unauthenticated, with one text whatever was wrong;
// RateLimited; and Unavailable while too many sign in.
func (u *Users) SignIn(ctx context.Context, login, password, peer, agent string) (SignedIn, error) {
	now, network := u.now(), networkOf(peer)
	ok, crowded := u.clients.take(now, peer)
	if !ok {
		return SignedIn{}, throttled()
	}
	login, valid := NormalizeLogin(login)
	user, secrets, err := u.store.UserByLogin(ctx, login)
	if err != nil && !missing(err) {
		return SignedIn{}, err
	}
	line := &u.hash.strangers
	if crowded || line.busy() {
		known, err := u.knows(ctx, user, network)
		switch {
		case err != nil:
			return SignedIn{}, err
		case known:
			line = &u.hash.known
		case crowded:
			return SignedIn{}, throttled()
		}
	}
	if valid {
		if err := u.allow(ctx, u.passwords, login, user, network, peer, waypost.DetailWrongPasswords); err != nil {
			return SignedIn{}, err
		}
	}
	ok, stale, err := u.hash.verify(ctx, line, secrets.Password, password)
	if err != nil {
		return SignedIn{}, err
	}
	if !ok || user.ID == "" || user.Disabled {
		return SignedIn{}, notSignedIn()
	}
	u.passwords.forget(login, network)
	if stale {
		if secrets.Password, err = u.rehash(ctx, user, secrets.Password, password); err != nil {
			return SignedIn{}, err
		}
	}
	if user.TOTP {
		return u.state(user, secrets, now)
	}
	return u.start(ctx, user, secrets, waypost.SecondFactor{}, peer, agent)
}

// allow counts a try about a user, who may be nobody, under a key. Where the user has
// signed in from is counted apart from the others. That others have to wait is recorded,
// now and then.
func (u *Users) allow(ctx context.Context, g *guesses, key string, user waypost.User, network netip.Prefix, peer string, what waypost.DetailCode) error {
	now := u.now()
	ok, tell := g.strangers.take(now, key)
	if ok {
		return nil
	}
	if tell && user.ID != "" {
		// Beside the answer, so that it takes no longer than for nobody.
		u.background.Go(func() { u.recordThrottled(context.WithoutCancel(ctx), user, peer, what, now) })
	}
	known, err := u.knows(ctx, user, network)
	if err != nil {
		return err
	}
	if !known {
		return throttled()
	}
	if ok, _ = g.known.take(now, from{key, network}); !ok {
		return throttled()
	}
	return nil
}

// knows reports whether a user, who may be nobody, signed in from a network in the last month.
func (u *Users) knows(ctx context.Context, user waypost.User, network netip.Prefix) (bool, error) {
	peers, err := u.store.SessionPeers(ctx, user.ID)
	if err != nil {
		return false, err
	}
	return network.IsValid() && slices.ContainsFunc(peers, func(p string) bool { return networkOf(p) == network }), nil
}

func (u *Users) recordThrottled(ctx context.Context, user waypost.User, peer string, what waypost.DetailCode, now time.Time) {
	u.log.Warn("sign-ins of a user are throttled", "user", user.ID, "peer", peer, "tried", what)
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	by := waypost.Policy()
	by.Peer = peer
	if err := u.store.RecordUser(ctx, by, user, "user.sign_in_failed", waypost.NewDetail(what), now); err != nil {
		u.log.Warn("cannot record failed sign-ins", "user", user.ID, "error", err)
	}
}

// rehash keeps a password that was right at today's cost and returns its hash.
func (u *Users) rehash(ctx context.Context, user waypost.User, old, password string) (string, error) {
	fresh, err := u.hash.hash(ctx, password)
	if err != nil {
		return "", err
	}
	return fresh, u.store.RehashPassword(ctx, user.ID, old, fresh)
}

// state is what is remembered between the steps, by the client and sealed.
type state struct {
	User     string `json:"u"`
	Expires  int64  `json:"e"`
	Password []byte `json:"p"` // a part of its hash's hash: another password, and it is over
}

func fingerprint(password string) []byte {
	sum := sha256.Sum256([]byte(password))
	return sum[:fingerprintLen]
}

func (u *Users) state(user waypost.User, secrets waypost.UserSecrets, now time.Time) (SignedIn, error) {
	expires := now.Add(stateFor)
	plain, err := json.Marshal(state{User: user.ID, Expires: waypost.Millis(expires), Password: fingerprint(secrets.Password)})
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign in: %w", err)
	}
	sealed := base64.RawURLEncoding.EncodeToString(u.ring.Seal(stateContext, plain))
	return SignedIn{State: secret.NewText(sealed), Expires: expires}, nil
}

// SecondStep takes the state that SignIn returned, with a code of the user's app or one of
// the recovery codes. Errors are those of SignIn; one with the code "sign_in_expired" says
// that SignIn has to be asked again.
func (u *Users) SecondStep(ctx context.Context, sealed, code, peer, agent string) (SignedIn, error) {
	now, network := u.now(), networkOf(peer)
	if ok, _ := u.clients.take(now, peer); !ok { // a crowded site is none of its concern: only passwords cost much
		return SignedIn{}, throttled()
	}
	var st state
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return SignedIn{}, startAgain()
	}
	plain, err := u.ring.Open(stateContext, raw)
	if err != nil || json.Unmarshal(plain, &st) != nil || !now.Before(waypost.FromMillis(st.Expires)) {
		return SignedIn{}, startAgain() // whatever is wrong with it
	}
	user, secrets, err := u.store.UserSecrets(ctx, st.User)
	if err != nil && !missing(err) {
		return SignedIn{}, err
	}
	if err != nil || user.Disabled || !user.TOTP || !bytes.Equal(st.Password, fingerprint(secrets.Password)) {
		return SignedIn{}, startAgain()
	}
	if err := u.allow(ctx, u.codes, user.ID, user, network, peer, waypost.DetailWrongCodes); err != nil {
		return SignedIn{}, err
	}
	second, err := u.checkCode(ctx, user, secrets, code)
	if err != nil {
		return SignedIn{}, err
	}
	in, err := u.start(ctx, user, secrets, second, peer, agent)
	if err == nil {
		u.codes.forget(user.ID, network)
	}
	return in, err
}

// start makes a session.
func (u *Users) start(
	ctx context.Context, user waypost.User, secrets waypost.UserSecrets, second waypost.SecondFactor, peer, agent string,
) (SignedIn, error) {
	now := u.now().UTC()
	id := waypost.NewIDAt(now) // of the whole instant: sessions of one millisecond sort too
	now = now.Truncate(time.Millisecond)
	token, hash := newToken()
	s := waypost.UserSession{
		ID: id, UserID: user.ID, Created: now, Seen: now, Expires: now.Add(sessionAge), Peer: peer, Agent: cleanAgent(agent),
	}
	err := u.store.StartSession(ctx, actor(user, peer), s, hash, secrets.Password, second)
	if outrun(err) {
		return SignedIn{}, notSignedIn()
	}
	if err != nil {
		return SignedIn{}, err
	}
	u.Changed(ctx) // sessions that were too many have ended
	return SignedIn{Token: secret.NewText(token), Expires: s.Expires}, nil
}

// cleanAgent is what is kept of the words of a browser.
func cleanAgent(agent string) string {
	agent = strings.Map(func(r rune) rune {
		if waypost.Misleading(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], ""))
	return strings.TrimSpace(agent)
}
