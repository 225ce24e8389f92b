package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/secret"
)

// instances reads and writes the key-check value of a database.
type instances interface {
	Instance(ctx context.Context) (keyCheck string, err error)
	InitInstance(ctx context.Context, keyCheck string) error
}

// openKey finds the instance key and proves that it is this database's. A new SQLite
// database gets a new key in the data directory; a database that was used with a key
// is never opened without it, because what is sealed would be lost bit by bit.
func openKey(ctx context.Context, c config.Config, db instances) (*secret.Ring, error) {
	check, err := db.Instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("instance key: %w", err)
	}
	path := filepath.Join(c.DataDir, keyFile)
	ring, err := loadKey(c, path)
	switch {
	case errors.Is(err, os.ErrNotExist) && check != "":
		return nil, fmt.Errorf("the database was used with an instance key, and there is none: "+
			"put its file back at %s, or set WAYPOST_INSTANCE_KEY or WAYPOST_INSTANCE_KEY_FILE", path)
	case errors.Is(err, os.ErrNotExist) && c.Postgres():
		return nil, errors.New("a PostgreSQL database needs an instance key that every node has: " +
			"make one with `openssl rand -base64 32` and set WAYPOST_INSTANCE_KEY or WAYPOST_INSTANCE_KEY_FILE")
	case errors.Is(err, os.ErrNotExist):
		if ring, err = secret.Create(path); errors.Is(err, os.ErrExist) { // another command was quicker
			ring, err = secret.Load(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("instance key: %w", err)
	}
	if check == "" {
		if err := db.InitInstance(ctx, ring.KeyCheck()); err != nil {
			return nil, fmt.Errorf("instance key: %w", err)
		}
		if check, err = db.Instance(ctx); err != nil {
			return nil, fmt.Errorf("instance key: %w", err)
		}
	}
	if !ring.HasKeyCheck(check) {
		return nil, errors.New("the instance key is not the one this database was used with: " +
			"set WAYPOST_INSTANCE_KEY (or its file) to the right one, or restore the database that belongs to this key")
	}
	return ring, nil
}

func loadKey(c config.Config, path string) (*secret.Ring, error) {
	if !c.InstanceKey.Empty() {
		return secret.Parse(c.InstanceKey.Reveal())
	}
	return secret.Load(path)
}
