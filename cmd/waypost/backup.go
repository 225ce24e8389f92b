package main

import (
	"fmt"

	"github.com/waypost/waypost/internal/app"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; it must not exist." type:"path"`
}

// Run writes a backup of the SQLite database.
func (c backupCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		if b.Config.Postgres() {
			return app.ErrPostgresBackup
		}
		if err := b.Engine.Backup(e.ctx, c.File); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "wrote %s\nThe instance key is NOT in it. Keep %s in another safe place: without it the passwords and DKIM keys in the backup cannot be opened.\n",
			c.File, b.KeyPath())
		return nil
	})
}

type restoreCmd struct {
	File  string `arg:"" help:"Backup to put in place." type:"existingfile"`
	Force bool   `help:"Replace a database that is there; it is kept beside under another name."`
}

// Run puts a backup in the database's place. The server must not run.
func (c restoreCmd) Run(e *environment) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	kept, err := app.Restore(e.ctx, cfg, c.File, c.Force)
	if err != nil {
		return err
	}
	if kept != "" {
		fmt.Fprintf(e.stdout, "the database that was there is now %s\n", kept)
	}
	fmt.Fprintf(e.stdout, "restored %s\nMail that was delivered after the backup was taken may be sent again: look at `waypost queue list` before you start the server, and hold or cancel what must not go.\nThe instance key was not in the backup; the server needs the one the backup was made with.\n", c.File)
	return nil
}
