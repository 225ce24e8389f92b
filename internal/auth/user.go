package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

// UserStore is what Users needs of storage; *system.System has it.
type UserStore interface {
	User(ctx context.Context, operatorID, id string) (waypost.User, error)
	UserByLogin(ctx context.Context, login string) (waypost.User, waypost.UserSecrets, error)
	UserSecrets(ctx context.Context, id string) (waypost.User, waypost.UserSecrets, error)
	UsersByEmail(ctx context.Context, email string) ([]waypost.User, error)
	Users(ctx context.Context, operatorID, cursor string, limit int) ([]waypost.User, error)
	AllUsers(ctx context.Context, cursor string, limit int) ([]waypost.User, error)
	HasPlatformUsers(ctx context.Context) (bool, error)
	CreateUser(ctx context.Context, by waypost.Actor, u waypost.User, password string, invite *waypost.UserToken, most int) error
	CreateFirstUser(ctx context.Context, by waypost.Actor, u waypost.User, password string) error
	SaveUser(ctx context.Context, by waypost.Actor, operatorID, id string, now time.Time, edit func(*waypost.User) error) (waypost.User, error)
	RemoveUser(ctx context.Context, by waypost.Actor, operatorID, id string, now time.Time) error
	SetPassword(ctx context.Context, by waypost.Actor, id, old, password, keep string, now time.Time) error
	RehashPassword(ctx context.Context, id, old, password string) error
	RecordUser(ctx context.Context, by waypost.Actor, u waypost.User, action string, detail waypost.Detail, now time.Time) error

	IssueToken(ctx context.Context, by waypost.Actor, operatorID string, t waypost.UserToken, now time.Time) (waypost.User, error)
	RequestReset(ctx context.Context, by waypost.Actor, users []waypost.User, tokens []waypost.UserToken, now time.Time) error
	TokenUser(ctx context.Context, hash []byte, purpose waypost.TokenPurpose, now time.Time) (waypost.User, waypost.UserSecrets, error)
	RedeemToken(ctx context.Context, by waypost.Actor, t waypost.UserToken, old, password string, now time.Time) error
	RecoveryCodes(ctx context.Context, userID string) (int64, error)
	ProposeTOTP(ctx context.Context, userID string, sealed []byte) error
	ConfirmTOTP(ctx context.Context, by waypost.Actor, userID string, proposed []byte, step int64, recovery []waypost.UserToken, keep string, now time.Time) error
	DropTOTP(ctx context.Context, by waypost.Actor, operatorID, userID, keep string, now time.Time) (bool, error)

	SessionByHash(ctx context.Context, hash []byte, now, idle time.Time) (waypost.UserSession, waypost.User, error)
	StartSession(ctx context.Context, by waypost.Actor, s waypost.UserSession, hash []byte, password string, second waypost.SecondFactor) error
	TouchSession(ctx context.Context, id, peer string, now time.Time) error
	UserSessions(ctx context.Context, userID string, now, idle time.Time) ([]waypost.UserSession, error)
	UserSignIns(ctx context.Context, userID string, limit int) ([]waypost.UserSession, error)
	SessionPeers(ctx context.Context, userID string) ([]string, error)
	EndSession(ctx context.Context, by waypost.Actor, operatorID, userID, id, action string, now time.Time) error
	EndSessions(ctx context.Context, by waypost.Actor, operatorID, userID, but string, now time.Time) (int64, error)
	ActFor(ctx context.Context, by waypost.Actor, userID, id, operatorID string, now time.Time) error
}

// UsersOptions make a Users.
type UsersOptions struct {
	Store  UserStore
	Ring   *secret.Ring
	Issuer string           // what authenticator apps show beside the login; "" for "Waypost"
	Now    func() time.Time // nil for time.Now
	Log    *slog.Logger     // nil for none

	// HashMemory is how much a password's hash takes, in KiB; 0 for what is recommended.
	// Tests that are about something else take little.
	HashMemory uint32
}

// Users authenticates people. It is safe for concurrent use. Signing in goes like this:
//
//  1. Who asks too often from one network or site, or about one login, waits; a network that
//     the user signed in from in the last month is counted apart and has a slot for hashes
//     of its own, so that no stranger can lock a user out. Nodes count apart, too.
//  2. SignIn looks the login up and compares the password, or with nobody's: known and
//     unknown, disabled and invited logins take the same time and get the same answer.
//  3. With TOTP on, the answer is a sealed state that is good for five minutes, and
//     SecondStep takes it with a code. Each code is good once.
//  4. The session's token is 32 random bytes, new at every sign-in; its hash is stored.
//     Session turns it into who asks, from memory for some seconds.
//
// Changes of users end sessions and links that relied on what was changed, in the same
// transaction. Users of a suspended operator sign in as ever, to read; those of one that is
// gone do not. What is in memory is dropped by Changed, which has to be called whenever
// users may have changed. Operators of "" mean the platform's staff here: which users may
// be managed by whom is for the caller to ask (Session.Manages).
type Users struct {
	store  UserStore
	ring   *secret.Ring
	issuer string
	now    func() time.Time
	log    *slog.Logger
	hash   *hasher

	sessions *cache[[sha256.Size]byte, cachedSession]

	clients   *visitors         // who sign in
	passwords *guesses          // by login
	codes     *guesses          // by user
	own       *throttle[string] // users who type their password again
	askers    *visitors         // who ask for resets
	resets    *throttle[string] // users who are sent one
	invites   *throttle[string] // operators that invite

	background sync.WaitGroup
}

const (
	cachedSessions = 10_000
	maxUsers       = 500 // of one operator, and of the platform
	maxAgent       = 300 // bytes kept of what a browser calls itself
)

// NewUsers returns a Users with nothing in memory.
func NewUsers(o UsersOptions) *Users {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Issuer == "" {
		o.Issuer = "Waypost"
	}
	return &Users{
		store: o.Store, ring: o.Ring, issuer: o.Issuer, now: o.Now, log: o.Log, hash: newHasher(o.HashMemory),
		sessions: newCache[[sha256.Size]byte, cachedSession](cachedSessions),
		clients:  newVisitors(30, 5*time.Second),
		// Of the passwords that are let through a guesser tries some 1,400 a day, of a million
		// codes some 290 a day, of which three are right at any time (RFC 6238 section 5.2).
		passwords: newGuesses(10, time.Minute),
		codes:     newGuesses(5, 5*time.Minute),
		own:       newThrottle[string](5, time.Minute),
		askers:    newVisitors(10, time.Minute),
		resets:    newThrottle[string](3, 20*time.Minute),
		invites:   newThrottle[string](20, time.Minute),
	}
}

// Changed drops what is in memory about sessions. It is called when users may have
// changed, by whatever process.
func (u *Users) Changed(context.Context) { u.sessions.drop() }

// Wait waits for what is still being written beside answers. Nothing may be asked of u
// any more.
func (u *Users) Wait() { u.background.Wait() }

// NewUser describes a user to make.
type NewUser struct {
	OperatorID string // "" for staff of the platform
	Login      string
	Email      string // may be empty, except for an invitation
	Name       string // at most 200 characters; may be empty
	Role       waypost.Role
	Language   string // BCP 47; may be empty
	TimeZone   string // IANA; may be empty
}

// Create makes a user with a password. Errors are Invalid with a field, NotFound for an
// unknown operator, and Conflict for a login that is used.
func (u *Users) Create(ctx context.Context, by waypost.Actor, n NewUser, password string) (waypost.User, error) {
	return u.create(ctx, n, password, func(user waypost.User, hash string) error {
		return u.store.CreateUser(ctx, by, user, hash, nil, maxUsers)
	})
}

// CreateFirst makes the first user of the platform, its owner; peer is where from. The
// error is Conflict if the platform has users, and as with Create.
func (u *Users) CreateFirst(ctx context.Context, n NewUser, password, peer string) (waypost.User, error) {
	n.OperatorID, n.Role = "", waypost.RoleOwner
	return u.create(ctx, n, password, func(user waypost.User, hash string) error {
		return u.store.CreateFirstUser(ctx, actor(user, peer), user, hash)
	})
}

// NoPlatformUsers reports whether the platform still waits for its owner.
func (u *Users) NoPlatformUsers(ctx context.Context) (bool, error) {
	has, err := u.store.HasPlatformUsers(ctx)
	return !has, err
}

func (u *Users) create(ctx context.Context, n NewUser, password string, write func(user waypost.User, hash string) error) (waypost.User, error) {
	user, err := u.newUser(n)
	if err != nil {
		return waypost.User{}, err
	}
	if err := checkPassword(password, user.Login, user.Email); err != nil {
		return waypost.User{}, err
	}
	hash, err := u.hash.hash(ctx, password)
	if err != nil {
		return waypost.User{}, err
	}
	if err := write(user, hash); err != nil {
		return waypost.User{}, err
	}
	u.Changed(ctx)
	user.Active = true
	return user, nil
}

// newUser checks what a user is made of.
func (u *Users) newUser(n NewUser) (waypost.User, error) {
	now := u.now().UTC()
	user := waypost.User{
		ID: waypost.NewIDAt(now), OperatorID: n.OperatorID, Email: n.Email, Name: n.Name, Role: n.Role,
		Language: n.Language, TimeZone: n.TimeZone, Created: now.Truncate(time.Millisecond),
	}
	var ok bool
	if user.Login, ok = NormalizeLogin(n.Login); !ok {
		return user, waypost.FieldError("login", fmt.Sprintf("at most %d letters without accents, digits and . _ - @ +", maxLogin))
	}
	if err := checkUser(&user); err != nil {
		return user, err
	}
	if user.Email == "" && user.SignsInByMail() {
		user.Email = user.Login
	}
	if user.SignsInByMail() && user.Login != user.Email {
		return user, &waypost.Error{
			Kind: waypost.Invalid, Code: "login_not_own", Field: "login", Message: "a login that is an e-mail address has to be the user's own address",
		}
	}
	return user, nil
}

// loginFollows takes a new address of a user over into a login that is an address. Users from
// before there was such a rule stay as they are until their address is changed.
func loginFollows(before waypost.User, user *waypost.User) error {
	user.Login = before.Login
	if user.Email == before.Email || !before.SignsInByMail() {
		return nil
	}
	login, ok := NormalizeLogin(user.Email)
	if !ok || login != user.Email {
		return &waypost.Error{
			Kind: waypost.Invalid, Code: "address_is_login", Field: "email",
			Message: fmt.Sprintf("the login is this address: it takes one of at most %d letters without accents, digits and . _ - @ +", maxLogin),
		}
	}
	user.Login = login
	return nil
}

// checkUser checks what can be changed of a user and brings it into the form that is kept.
func checkUser(user *waypost.User) error {
	if !user.Role.Valid() || user.Role.Platform() != (user.OperatorID == "") {
		choose := "choose admin or viewer"
		if user.OperatorID == "" {
			choose = "choose owner, support or auditor"
		}
		return waypost.FieldError("role", choose)
	}
	if user.Email = waypost.NormalizeAddress(strings.TrimSpace(user.Email)); user.Email != "" {
		if _, _, err := waypost.SplitAddress(user.Email); err != nil {
			return waypost.FieldError("email", err.Error())
		}
	}
	user.Name = strings.TrimSpace(user.Name)
	if !utf8.ValidString(user.Name) || utf8.RuneCountInString(user.Name) > maxName || strings.ContainsFunc(user.Name, waypost.Misleading) {
		return waypost.FieldError("name", fmt.Sprintf("at most %d characters, no control characters", maxName))
	}
	if user.Language != "" {
		tag, err := language.Parse(user.Language)
		if err != nil || len(user.Language) > 35 { // RFC 5646 section 4.4.1
			return waypost.FieldError("language", "not a language: write en or pt-BR")
		}
		user.Language = tag.String()
	}
	if user.TimeZone != "" {
		// "Local" is this machine's, whatever that is.
		if _, err := time.LoadLocation(user.TimeZone); err != nil || user.TimeZone == "Local" || len(user.TimeZone) > 64 {
			return waypost.FieldError("time_zone", "not a time zone: write Europe/Madrid")
		}
	}
	return nil
}

// User reads a user of an operator. The error is NotFound.
func (u *Users) User(ctx context.Context, operatorID, id string) (waypost.User, error) {
	return u.store.User(ctx, operatorID, id)
}

// Any reads a user whosever it is. The error is NotFound.
func (u *Users) Any(ctx context.Context, id string) (waypost.User, error) {
	user, _, err := u.store.UserSecrets(ctx, id)
	return user, err
}

// List lists the users of an operator, or the platform's staff for "", oldest first, after
// the id that is cursor.
func (u *Users) List(ctx context.Context, operatorID, cursor string, limit int) ([]waypost.User, error) {
	return u.store.Users(ctx, operatorID, cursor, limit)
}

// ListAll lists everybody, oldest first, after the id that is cursor.
func (u *Users) ListAll(ctx context.Context, cursor string, limit int) ([]waypost.User, error) {
	return u.store.AllUsers(ctx, cursor, limit)
}

// ByLogin finds a user. The error is NotFound.
func (u *Users) ByLogin(ctx context.Context, login string) (waypost.User, error) {
	normalized, _ := NormalizeLogin(login)
	user, _, err := u.store.UserByLogin(ctx, normalized)
	return user, err
}

// Change edits a user of an operator: address, name, role, language, time zone, Disabled.
// A new role and Disabled end the user's sessions, a new address the links mailed to the
// old one; a login that is an address changes with it. Errors are Invalid with a field,
// NotFound, and Conflict for the last owner and for an address that another user signs in
// with.
func (u *Users) Change(ctx context.Context, by waypost.Actor, operatorID, id string, edit func(*waypost.User)) (waypost.User, error) {
	defer u.Changed(ctx)
	return u.store.SaveUser(ctx, by, operatorID, id, u.now(), func(user *waypost.User) error {
		before := *user
		edit(user)
		if err := checkUser(user); err != nil {
			return err
		}
		return loginFollows(before, user)
	})
}

// Remove removes a user of an operator. Errors are NotFound, and Conflict for the last
// owner.
func (u *Users) Remove(ctx context.Context, by waypost.Actor, operatorID, id string) error {
	defer u.Changed(ctx)
	return u.store.RemoveUser(ctx, by, operatorID, id, u.now())
}

// VerifyPassword asks the user of a session for the password again, before what a browser
// left alone must not do. The error is Invalid for a wrong one, and RateLimited after some.
func (u *Users) VerifyPassword(ctx context.Context, s Session, password string) error {
	_, err := u.verifyOwn(ctx, s, password)
	return err
}

// verifyOwn is VerifyPassword and returns the hash that was compared.
func (u *Users) verifyOwn(ctx context.Context, s Session, password string) (string, error) {
	if ok, _ := u.own.take(u.now(), s.User.ID); !ok {
		return "", throttled()
	}
	_, secrets, err := u.store.UserSecrets(ctx, s.User.ID)
	if err != nil {
		return "", err
	}
	ok, _, err := u.hash.verify(ctx, &u.hash.known, secrets.Password, password)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", &waypost.Error{Kind: waypost.Invalid, Code: "password_wrong", Field: "current_password", Message: "this is not your password"}
	}
	u.own.forget(s.User.ID)
	return secrets.Password, nil
}

// ChangePassword sets another password of the user of a session and ends the user's other
// sessions. Errors are those of VerifyPassword, and Invalid for a password that will not do.
func (u *Users) ChangePassword(ctx context.Context, s Session, current, password string) error {
	if err := checkPassword(password, s.User.Login, s.User.Email); err != nil {
		return err
	}
	old, err := u.verifyOwn(ctx, s, current)
	if err != nil {
		return err
	}
	hash, err := u.hash.hash(ctx, password)
	if err != nil {
		return err
	}
	defer u.Changed(ctx)
	return u.store.SetPassword(ctx, s.Actor(), s.User.ID, old, hash, s.ID, u.now())
}

// actor is a user who changes something.
func actor(user waypost.User, peer string) waypost.Actor {
	return waypost.Actor{ID: "user:" + user.ID, Name: user.Login, Peer: peer}
}

// throttled is the answer to who tries too often.
func throttled() error {
	return waypost.NewError(waypost.RateLimited, "too_many_tries", "too many tries: wait a few minutes")
}

// missing reports whether an error says that something is not there.
func missing(err error) bool { return err != nil && waypost.KindOf(err) == waypost.NotFound }

// outrun reports whether an error says that something was changed, used or taken meanwhile.
func outrun(err error) bool {
	e, ok := errors.AsType[*waypost.Error](err)
	return ok && e.Kind == waypost.Conflict
}
