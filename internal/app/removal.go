package app

import (
	"context"
	"time"
)

// removeFor is how long the chore that removes deleted operators works at a time: the
// others wait for it, and mail shares the database with it.
const removeFor = 2 * time.Second

// anyRemovals tells whether a deleted operator may have something left. Most of the time
// none has, and then nothing is written to find out who does it.
func (a *App) anyRemovals(ctx context.Context) (bool, error) {
	open, err := a.System.Removals(ctx)
	return len(open) > 0, err
}

// removeOperators removes what deleted operators have left, as much as fits.
func (a *App) removeOperators(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < removeFor; {
		more, err := a.System.RemoveSome(ctx, time.Now())
		if err != nil {
			return err
		}
		if !more {
			return a.System.EraseResidue(ctx)
		}
	}
	return nil
}
