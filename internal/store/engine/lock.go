package engine

import "github.com/pressly/goose/v3/lock"

// postgresLocker serializes migrations of processes that start together.
func postgresLocker() (lock.SessionLocker, error) {
	return lock.NewPostgresSessionLocker()
}
