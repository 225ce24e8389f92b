package app

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

// firstFile is the file in the data directory that has the link of the first sign-in.
const firstFile = "first-login"

// NewUsers returns who authenticates people. A server makes one and tells it of changes.
func (b *Base) NewUsers() *auth.Users {
	return auth.NewUsers(auth.UsersOptions{Store: b.System, Ring: b.Ring, Issuer: b.Config.BrandName, Log: b.Log})
}

// Link is the address of a page of the panel, as far as the configuration says: without
// a public address or a listener, only its path.
func (b *Base) Link(path string) string { return b.link(b.Config.HTTPAddr, path) }

// link is Link for a server that listens on addr.
func (b *Base) link(addr, path string) string {
	if u := b.Config.PublicURL; u != nil {
		return u.String() + path
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return path
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost" // listening on every address names none
	}
	return "http://" + net.JoinHostPort(host, port) + path
}

// FirstLogin lets who can read the data directory make the owner of a new installation,
// once. The link's token is derived from the instance key: all nodes know the same one,
// whichever wrote the file and whichever is asked, and it is worth nothing once the
// platform has a user.
type FirstLogin struct {
	users  *auth.Users
	tokens [][]byte // of every instance key, the current one first
	path   string
	log    *slog.Logger
	waits  atomic.Bool // the file is there
}

// FirstLogin writes the link into the data directory if the platform has no users, and
// removes it if it has some. httpAddr is where people reach this server if the
// configuration does not say; "" if it listens for nobody.
func (b *Base) FirstLogin(ctx context.Context, users *auth.Users, httpAddr string) (*FirstLogin, error) {
	f := &FirstLogin{users: users, path: filepath.Join(b.Config.DataDir, firstFile), log: b.Log}
	for _, key := range b.Ring.DeriveAll("first login") {
		f.tokens = append(f.tokens, []byte(base64.RawURLEncoding.EncodeToString(key)))
	}
	none, err := users.NoPlatformUsers(ctx)
	if err != nil {
		return nil, fmt.Errorf("first login: %w", err)
	}
	f.waits.Store(true) // or from an earlier start
	if !none || httpAddr == "" {
		f.remove()
		return f, nil
	}
	link := b.link(httpAddr, auth.PathFirst+string(f.tokens[0]))
	if err := writeSecretFile(f.path, link+"\n"); err != nil {
		return nil, fmt.Errorf("first login: %w", err)
	}
	b.Log.Info("nobody can sign in yet: the link in this file makes the owner", "file", f.path)
	return f, nil
}

// Valid reports whether a token makes the owner now.
func (f *FirstLogin) Valid(ctx context.Context, token string) (bool, error) {
	known := 0
	for _, t := range f.tokens {
		known |= subtle.ConstantTimeCompare([]byte(token), t)
	}
	if known == 0 {
		return false, nil
	}
	return f.users.NoPlatformUsers(ctx)
}

// CreateOwner makes the owner, whose role and side need not be said; peer is where from.
// Of however many that try at once, one succeeds, and the file is removed. Errors are
// NotFound for a token that is not valid, and those of auth.Users.Create.
func (f *FirstLogin) CreateOwner(ctx context.Context, token string, owner auth.NewUser, password, peer string) (waypost.User, error) {
	valid, err := f.Valid(ctx, token)
	if err != nil {
		return waypost.User{}, err
	}
	if !valid {
		return waypost.User{}, waypost.NewError(waypost.NotFound, "link_expired", "this link was used already or is not valid")
	}
	u, err := f.users.CreateFirst(ctx, owner, password, peer)
	if err != nil {
		return waypost.User{}, err
	}
	f.remove()
	f.log.Info("the owner was made", "user", u.ID, "peer", peer)
	return u, nil
}

// Changed removes the file when the owner was made elsewhere. It is called when users may
// have changed, by whatever process.
func (f *FirstLogin) Changed(ctx context.Context) {
	if !f.waits.Load() {
		return
	}
	if none, err := f.users.NoPlatformUsers(ctx); err == nil && !none {
		f.remove()
	}
}

func (f *FirstLogin) remove() {
	f.waits.Store(false)
	if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.log.Warn("cannot remove a link that is of no more use", "file", f.path, "error", err)
	}
}

// writeSecretFile writes a file that only its owner can read, whole or not at all.
func writeSecretFile(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
