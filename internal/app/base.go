package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/guard"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/secret"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/unsubscribe"
	"github.com/waypost/waypost/internal/waypost"
)

// Names in the data directory.
const (
	databaseFile = "waypost.db"
	keyFile      = "instance.key"
	nodeFile     = "node"
	lockFile     = "lock"
	certFile     = "smtp-cert.pem"
	certKeyFile  = "smtp-key.pem"
)

// Base is the database with everything that needs no listener and no queue.
type Base struct {
	Config    config.Config
	Log       *slog.Logger
	Engine    *engine.Engine
	Store     *store.Store
	System    *system.System
	Ring      *secret.Ring
	Platform  route.Platform
	Directory *account.Directory
	Accounts  *account.Service
	Auth      *auth.Auth
	Keys      *Keys
}

// commandNode is the name under which commands count what they change.
const commandNode = "command"

// OpenBase opens the database of a configuration for a command or, with the name of
// its node and an observer, for the server. It makes what a first start needs: data
// directory, database, instance key, DKIM keys, the platform's own operator.
func OpenBase(ctx context.Context, c config.Config, log *slog.Logger, node string, observe engine.Observer) (*Base, error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	url := databaseURL(c)
	e, err := engine.Open(ctx, engine.Options{
		URL: url, Log: log, Observe: observe,
		Upgrade: node != commandNode, // a command may run beside a server of an older version
	})
	if err != nil {
		return nil, err
	}
	b := &Base{Config: c, Log: log, Engine: e, Platform: platformOf(c)}
	b.Store = store.New(e, node)
	b.System = system.New(b.Store)
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return b, nil
}

func databaseURL(c config.Config) string {
	if c.Postgres() {
		return c.DatabaseURL.Reveal()
	}
	return filepath.Join(c.DataDir, databaseFile)
}

func (b *Base) open(ctx context.Context) error {
	ring, err := openKey(ctx, b.Config, b.System)
	if err != nil {
		return err
	}
	b.Ring = ring
	if err := b.System.EnsurePlatform(ctx, "Waypost"); err != nil {
		return fmt.Errorf("platform operator: %w", err)
	}
	if b.Keys, err = openKeys(ctx, b); err != nil {
		return err
	}
	b.Directory = account.NewDirectory(account.DirectoryOptions{Store: b.Store, System: b.System, Ring: ring, Log: b.Log})
	urls, err := guard.NewWeb(guard.WebOptions{Options: guard.Options{Allow: b.Config.GuardAllow, Own: b.Config.SendingAddresses}})
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	b.Accounts = account.New(account.Options{
		URLs: urls, Store: b.Store, System: b.System, Directory: b.Directory, Ring: ring, Platform: b.Platform, RelayPorts: b.Config.RelayPorts,
		ApproveSenders: b.Config.ApproveSenders, UpstreamSigns: b.Config.UpstreamSigns,
	})
	b.Auth = auth.New(auth.Options{Store: b.System, Operators: b.Directory})
	return nil
}

// Close closes the database after what waits is written.
func (b *Base) Close() error { return b.Engine.Close() }

// unsubscribeLinks makes and reads the links by which recipients unsubscribe.
func (b *Base) unsubscribeLinks() unsubscribe.Links {
	l := unsubscribe.Links{Sealer: b.Ring}
	if u := b.Config.PublicURL; u != nil {
		l.Base = u.String()
	}
	return l
}

// platformOf is what routing knows of the installation.
func platformOf(c config.Config) route.Platform {
	p := route.Platform{Domain: c.PlatformDomain, From: c.PlatformFrom, UpstreamMode: route.UpstreamMode(c.UpstreamMode)}
	if c.Upstream != nil && p.UpstreamMode != route.UpstreamOff {
		relay := c.Upstream.Relay()
		p.Upstream = &relay
	}
	return p
}

// nodeName reads the stable name of this data directory's node, making one at the
// first start. Counters are kept under it.
func nodeName(dataDir string) (string, error) {
	path := filepath.Join(dataDir, nodeFile)
	text, err := os.ReadFile(path)
	if err == nil {
		if name := strings.TrimSpace(string(text)); name != "" {
			return name, nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("node name: %w", err)
	}
	name := waypost.NewID()
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("node name: %w", err)
	}
	return name, nil
}
