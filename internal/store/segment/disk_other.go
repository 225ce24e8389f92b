//go:build !linux

package segment

import (
	"errors"
	"os"
)

// syncData returns when the bytes of a file are on disk.
func syncData(file *os.File) error { return file.Sync() }

// punch cannot make holes here.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
