package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/waypost"
)

// Where links lead; the token follows.
const (
	PathFirst  = "/first/"  // makes the owner
	PathInvite = "/invite/" // sets the first password
	PathReset  = "/reset/"  // sets another password
)

const (
	inviteFor = 3 * 24 * time.Hour
	resetFor  = time.Hour
)

// Issued is a token with which a user sets its password, once. Whoever has it can.
type Issued struct {
	User    waypost.User
	Token   secret.Text
	Expires time.Time
}

// badLink is the one answer to a token that is malformed, unknown, used or past its time.
func badLink() error {
	return waypost.NewError(waypost.NotFound, "link_expired", "this link was used already or is too old: ask for another one")
}

func (u *Users) issue(userID string, purpose waypost.TokenPurpose, life time.Duration) (Issued, waypost.UserToken) {
	expires := u.now().UTC().Truncate(time.Millisecond).Add(life)
	token, hash := newToken()
	return Issued{Token: secret.NewText(token), Expires: expires},
		waypost.UserToken{Hash: hash, UserID: userID, Purpose: purpose, Expires: expires}
}

// Invite makes a user without a password and a token for setting it, to be mailed: good
// for three days. Errors are those of Create, and RateLimited.
func (u *Users) Invite(ctx context.Context, by waypost.Actor, n NewUser) (Issued, error) {
	user, err := u.newUser(n)
	if err != nil {
		return Issued{}, err
	}
	if user.Email == "" {
		return Issued{}, waypost.FieldError("email", "an invitation is sent by mail")
	}
	if err := u.mayInvite(user.OperatorID); err != nil {
		return Issued{}, err
	}
	issued, token := u.issue(user.ID, waypost.TokenInvite, inviteFor)
	if err := u.store.CreateUser(ctx, by, user, "", &token, maxUsers); err != nil {
		return Issued{}, err
	}
	issued.User = user
	return issued, nil
}

// InviteAgain makes another token for a user of an operator who has not set a password yet;
// earlier ones are worth nothing then. Errors are NotFound, Conflict for a user who has
// one, and RateLimited.
func (u *Users) InviteAgain(ctx context.Context, by waypost.Actor, operatorID, userID string) (Issued, error) {
	if err := u.mayInvite(operatorID); err != nil {
		return Issued{}, err
	}
	return u.issueFor(ctx, by, operatorID, userID, waypost.TokenInvite, inviteFor)
}

// mayInvite bounds the mail to people who did not ask for any.
func (u *Users) mayInvite(operatorID string) error {
	if ok, _ := u.invites.take(u.now(), operatorID); !ok {
		return throttled()
	}
	return nil
}

// IssueReset makes a token with which a user of an operator sets another password: good for
// an hour. It is for who helps; RequestReset is for who forgot. Errors are NotFound, Conflict
// for a user who is disabled, and RateLimited.
func (u *Users) IssueReset(ctx context.Context, by waypost.Actor, operatorID, userID string) (Issued, error) {
	if err := u.mayInvite(operatorID); err != nil {
		return Issued{}, err
	}
	return u.issueFor(ctx, by, operatorID, userID, waypost.TokenReset, resetFor)
}

func (u *Users) issueFor(
	ctx context.Context, by waypost.Actor, operatorID, userID string, purpose waypost.TokenPurpose, life time.Duration,
) (Issued, error) {
	issued, token := u.issue(userID, purpose, life)
	var err error
	issued.User, err = u.store.IssueToken(ctx, by, operatorID, token, u.now())
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// RequestReset makes tokens for the user with a login and for the users with an address, who
// may be several: mostly one, or nobody. Whoever has somebody's address for a login must not
// keep that person from its link. It takes as long for nobody;
// who mails them must do so beside the answer, and the answer must be the same. The error
// is RateLimited for a client who asks too often.
func (u *Users) RequestReset(ctx context.Context, loginOrEmail, peer string) ([]Issued, error) {
	now := u.now()
	if ok, crowded := u.askers.take(now, peer); !ok || crowded {
		return nil, throttled()
	}
	login, _ := NormalizeLogin(loginOrEmail)
	user, _, err := u.store.UserByLogin(ctx, login)
	if err != nil && !missing(err) {
		return nil, err
	}
	email := strings.TrimSpace(loginOrEmail)
	if _, _, err := waypost.SplitAddress(email); err != nil {
		email = ""
	}
	list, err := u.store.UsersByEmail(ctx, waypost.NormalizeAddress(email))
	if err != nil {
		return nil, err
	}
	known := func(other waypost.User) bool { return other.ID == user.ID }
	if user.ID != "" && !user.Disabled && user.Email != "" && !slices.ContainsFunc(list, known) {
		list = append(list, user)
	}
	var issued []Issued
	var tokens []waypost.UserToken
	var users []waypost.User
	for _, user := range list {
		if ok, _ := u.resets.take(now, user.ID); !ok {
			continue
		}
		i, t := u.issue(user.ID, waypost.TokenReset, resetFor)
		i.User = user
		issued, tokens, users = append(issued, i), append(tokens, t), append(users, user)
	}
	if len(tokens) == 0 {
		_, nobodys := u.issue("", waypost.TokenReset, resetFor)
		tokens = append(tokens, nobodys)
	}
	by := waypost.Policy()
	by.Peer = peer
	if err := u.store.RequestReset(ctx, by, users, tokens, now); err != nil {
		return nil, err
	}
	return issued, nil
}

// TokenUser returns the user whom a token belongs to, for the form that asks for the
// password. The error is NotFound.
func (u *Users) TokenUser(ctx context.Context, purpose waypost.TokenPurpose, token string) (waypost.User, error) {
	user, _, err := u.tokenUser(ctx, purpose, token)
	return user, err
}

func (u *Users) tokenUser(ctx context.Context, purpose waypost.TokenPurpose, token string) (waypost.User, waypost.UserSecrets, error) {
	hash, ok := tokenHash(token)
	if !ok {
		return waypost.User{}, waypost.UserSecrets{}, badLink()
	}
	user, secrets, err := u.store.TokenUser(ctx, hash[:], purpose, u.now())
	if missing(err) {
		err = badLink()
	}
	return user, secrets, err
}

// Redeem sets the password of the user whom a token belongs to. Of however many that try
// at once, one succeeds. It ends the user's sessions and signs nobody in. Errors are
// NotFound for a token that is not valid and Invalid for a password that will not do.
func (u *Users) Redeem(ctx context.Context, purpose waypost.TokenPurpose, token, password, peer string) (waypost.User, error) {
	user, secrets, err := u.tokenUser(ctx, purpose, token)
	if err != nil {
		return waypost.User{}, err
	}
	if err := checkPassword(password, user.Login, user.Email); err != nil {
		return waypost.User{}, err
	}
	fresh, err := u.hash.hash(ctx, password)
	if err != nil {
		return waypost.User{}, err
	}
	hash, _ := tokenHash(token)
	t := waypost.UserToken{Hash: hash[:], UserID: user.ID, Purpose: purpose}
	err = u.store.RedeemToken(ctx, actor(user, peer), t, secrets.Password, fresh, u.now())
	if outrun(err) || missing(err) {
		return waypost.User{}, badLink()
	}
	if err != nil {
		return waypost.User{}, err
	}
	u.Changed(ctx)
	u.passwords.strangers.forget(user.Login)
	return user, nil
}
