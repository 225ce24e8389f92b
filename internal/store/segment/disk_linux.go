package segment

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData returns when the bytes of a file, and how many there are, are on disk.
func syncData(file *os.File) error {
	for {
		err := unix.Fdatasync(int(file.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// punch makes a hole in a file: its bytes read as zeros and take no room. The error is
// errors.ErrUnsupported where the file system cannot.
func punch(file *os.File, at, size int64) error {
	err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
