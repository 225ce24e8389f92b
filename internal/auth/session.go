package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

const (
	tokenBytes = 32 // 256 bits: there is nothing to guess, so their hash needs no salt

	sessionAge   = 30 * 24 * time.Hour // whatever happens
	sessionCache = 5 * time.Second     // how long one is in memory; Changed is quicker
	seenEvery    = time.Minute         // how often it is written that one is used
)

// Session is a user who is signed in, and what for.
type Session struct {
	waypost.UserSession // Peer is where this request came from
	User                waypost.User
}

// Operator is the operator whose things this session sees: the one it acts for, or the
// user's own; "" for the platform.
func (s Session) Operator() string { return cmp.Or(s.ActingFor, s.User.OperatorID) }

// Role is what the user may do there: staff that acts for an operator is its admin.
func (s Session) Role() waypost.Role {
	if s.ActingFor != "" {
		return waypost.RoleAdmin
	}
	return s.User.Role
}

// Manages reports whether the session may make and change users of an operator, or the
// platform's staff for "".
func (s Session) Manages(operatorID string) bool {
	switch s.Role() {
	case waypost.RoleOwner:
		return true
	case waypost.RoleSupport:
		return operatorID != ""
	case waypost.RoleAdmin:
		return operatorID != "" && operatorID == s.Operator()
	case waypost.RoleAuditor, waypost.RoleViewer:
	}
	return false
}

// Actor is who is recorded as having done what this session does.
func (s Session) Actor() waypost.Actor { return actor(s.User, s.Peer) }

type cachedSession struct {
	session waypost.UserSession
	user    waypost.User
	read    time.Time
}

// newToken makes a token and its hash.
func newToken() (token string, hash []byte) {
	token = base64.RawURLEncoding.EncodeToString(random(tokenBytes))
	sum := sha256.Sum256([]byte(token))
	return token, sum[:]
}

// tokenHash is the hash of what looks like a token.
func tokenHash(token string) (hash [sha256.Size]byte, ok bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return hash, false
	}
	return sha256.Sum256([]byte(token)), true
}

// signedOut is the one answer to a token that is malformed, unknown or past its time.
func signedOut() error {
	return waypost.NewError(waypost.Unauthenticated, "signed_out", "sign in first")
}

// Session returns the session of a token that came from an address, and counts as its use.
// The error is Unauthenticated if the token is not valid; any other error says nothing about
// it.
func (u *Users) Session(ctx context.Context, token, peer string) (Session, error) {
	return u.session(ctx, token, peer, true)
}

// SessionUnattended is Session for what a browser asks for by itself. It is no use of the
// session: a page that is left open must not keep it alive.
func (u *Users) SessionUnattended(ctx context.Context, token, peer string) (Session, error) {
	return u.session(ctx, token, peer, false)
}

func (u *Users) session(ctx context.Context, token, peer string, used bool) (Session, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return Session{}, signedOut()
	}
	now := u.now()
	c, ok, generation := u.sessions.get(hash)
	if !ok || now.Sub(c.read) >= sessionCache || !now.Before(c.session.Expires) || now.Sub(c.session.Seen) >= waypost.SessionIdle {
		session, user, err := u.store.SessionByHash(ctx, hash[:], now, now.Add(-waypost.SessionIdle))
		if missing(err) {
			return Session{}, signedOut()
		}
		if err != nil {
			return Session{}, err
		}
		c = cachedSession{session: session, user: user, read: now}
		u.sessions.put(generation, hash, c)
	}
	if used && now.Sub(c.session.Seen) >= seenEvery {
		// In memory first, so that requests that come together do not all write.
		c.session.Seen, c.session.Peer = now.UTC().Truncate(time.Millisecond), peer
		u.sessions.put(generation, hash, c)
		if err := u.store.TouchSession(ctx, c.session.ID, peer, now); err != nil && ctx.Err() == nil {
			u.log.Warn("cannot record that a session is used", "user", c.user.ID, "error", err) // a full disk must not lock people out
		}
	}
	s := Session{UserSession: c.session, User: c.user}
	s.Peer = peer
	return s, nil
}

// SignOut ends a session.
func (u *Users) SignOut(ctx context.Context, s Session) error {
	defer u.Changed(ctx)
	err := u.store.EndSession(ctx, s.Actor(), s.User.OperatorID, s.User.ID, s.ID, "user.sign_out", u.now())
	if missing(err) { // it has ended already
		return nil
	}
	return err
}

// Sessions lists the sessions of a user that have not ended, the newest first.
func (u *Users) Sessions(ctx context.Context, userID string) ([]waypost.UserSession, error) {
	now := u.now()
	return u.store.UserSessions(ctx, userID, now, now.Add(-waypost.SessionIdle))
}

// SignIns lists where and when a user signed in lately, the newest first, as far as it is
// kept: 30 days, a hundred at most.
func (u *Users) SignIns(ctx context.Context, userID string, limit int) ([]waypost.UserSession, error) {
	return u.store.UserSignIns(ctx, userID, limit)
}

// RevokeSession ends a session of a user of an operator, or of the platform for "". The
// error is NotFound.
func (u *Users) RevokeSession(ctx context.Context, by waypost.Actor, operatorID, userID, id string) error {
	defer u.Changed(ctx)
	return u.store.EndSession(ctx, by, operatorID, userID, id, "session.revoke", u.now())
}

// RevokeSessions ends all sessions of a user of an operator, or of the platform for "", but
// one ("" for none), and says how many these were. The error is NotFound.
func (u *Users) RevokeSessions(ctx context.Context, by waypost.Actor, operatorID, userID, but string) (int64, error) {
	defer u.Changed(ctx)
	return u.store.EndSessions(ctx, by, operatorID, userID, but, u.now())
}

// ActFor lets a session of the platform's staff act for an operator from now on. The
// operator sees it in its audit log. Errors are Forbidden for a role that does not act,
// and NotFound for an unknown operator.
func (u *Users) ActFor(ctx context.Context, s Session, operatorID string) error {
	if !s.User.Role.Acts() {
		return waypost.NewError(waypost.Forbidden, "role_does_not_act", "this role does not sign in as an operator")
	}
	if operatorID == "" {
		return waypost.FieldError("operator_id", "choose an operator")
	}
	defer u.Changed(ctx)
	return u.store.ActFor(ctx, s.Actor(), s.User.ID, s.ID, operatorID, u.now())
}

// StopActing lets a session of the platform's staff be its own again.
func (u *Users) StopActing(ctx context.Context, s Session) error {
	if s.ActingFor == "" {
		return nil
	}
	defer u.Changed(ctx)
	return u.store.ActFor(ctx, s.Actor(), s.User.ID, s.ID, "", u.now())
}
