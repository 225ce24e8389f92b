package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// writeFiles writes each content to its path, making the folders it needs.
func writeFiles(contents map[string]string) error {
	for path, content := range contents {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		// Postfix's processes read their configuration as another user.
		if filepath.Ext(path) == ".cf" {
			if err := os.Chmod(path, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// chownTo gives a folder to a user of the system.
func chownTo(path, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}
