package segment

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// fileSize is when the next file is begun, in bytes.
const fileSize = 64 << 20

const (
	suffix   = ".seg"
	lockName = "lock"
)

// ErrDamaged says that what lies at a Ref is not what was written.
var ErrDamaged = errors.New("the stored bytes are damaged or gone")

// Ref is where bytes lie. The zero Ref is nowhere.
type Ref struct {
	File string // name in the folder
	At   int64  // offset in bytes
	Size int64  // in bytes
	Sum  int64  // CRC-32C of the bytes
}

// Files is a folder of segment files, at most one of which this process appends to.
// Several processes may share a folder.
type Files struct {
	dir  string
	size int64

	mu     sync.Mutex
	active *os.File // nil while there is none; locked against Sweep
	name   string
	end    int64
}

// New returns the files of a folder. The first Append makes it.
func New(dir string) *Files { return &Files{dir: dir, size: fileSize} }

// Append writes byte strings to the end of the active file and returns when they are
// synced. After an error none of them counts.
func (f *Files) Append(list [][]byte) ([]Ref, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active != nil && f.end >= f.size {
		f.close()
	}
	if f.active == nil {
		if err := f.begin(); err != nil {
			return nil, fmt.Errorf("begin segment file: %w", err)
		}
	}
	refs, end := make([]Ref, len(list)), f.end
	for i, b := range list {
		if _, err := f.active.WriteAt(b, end); err != nil {
			f.abandon()
			return nil, fmt.Errorf("write segment file: %w", err)
		}
		refs[i] = Ref{File: f.name, At: end, Size: int64(len(b)), Sum: sum(b)}
		end += int64(len(b))
	}
	if err := syncData(f.active); err != nil {
		// After a failed sync the kernel may have thrown away what it could not write and
		// answer the next sync with success: this file is not appended to again.
		f.abandon()
		return nil, fmt.Errorf("sync segment file: %w", err)
	}
	f.end = end
	return refs, nil
}

// begin makes the next active file and sees to it that its name is on disk too.
func (f *Files) begin() error {
	if err := f.makeDir(); err != nil {
		return err
	}
	name := waypost.NewID() + suffix
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(flock(file, syscall.LOCK_EX), syncDir(f.dir)); err != nil {
		return errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	f.active, f.name, f.end = file, name, 0
	return nil
}

func (f *Files) makeDir() error {
	if err := os.Mkdir(f.dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.dir))
}

// abandon gives back what was appended since the last success and ends the file.
func (f *Files) abandon() {
	_ = f.active.Truncate(f.end)
	f.close()
}

func (f *Files) close() {
	_ = f.active.Close() // also unlocks it
	f.active, f.name, f.end = nil, "", 0
}

// Close ends the active file.
func (f *Files) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active != nil {
		f.close()
	}
}

// Read returns what was appended, or ErrDamaged.
func (f *Files) Read(r Ref) ([]byte, error) {
	path, err := f.path(r.File)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing", ErrDamaged, r.File)
	}
	if err != nil {
		return nil, fmt.Errorf("read segment file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read segment file: %w", err)
	}
	if r.At < 0 || r.Size < 0 || r.At > info.Size()-r.Size {
		return nil, fmt.Errorf("%w: %s is too short", ErrDamaged, r.File)
	}
	b := make([]byte, r.Size)
	if _, err := file.ReadAt(b, r.At); err != nil {
		return nil, fmt.Errorf("read segment file: %w", err)
	}
	if sum(b) != r.Sum {
		return nil, fmt.Errorf("%w: %s at %d", ErrDamaged, r.File, r.At)
	}
	return b, nil
}

// Erase overwrites what lies at refs, gives its room back where the file system can, and
// returns when that is synced. What is gone already is no error. Refs of one file should
// stand together.
func (f *Files) Erase(refs []Ref) error {
	for len(refs) > 0 {
		n := 1
		for n < len(refs) && refs[n].File == refs[0].File {
			n++
		}
		if err := f.erase(refs[0].File, refs[:n]); err != nil {
			return fmt.Errorf("erase in segment file: %w", err)
		}
		refs = refs[n:]
	}
	return nil
}

func (f *Files) erase(name string, refs []Ref) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range refs {
		if err == nil && r.Size > 0 {
			err = punch(file, r.At, r.Size)
			if errors.Is(err, errors.ErrUnsupported) {
				err = zero(file, r.At, r.Size)
			}
		}
	}
	if err == nil {
		err = syncData(file)
	}
	return errors.Join(err, file.Close())
}

// zero overwrites bytes that are there; it makes no file longer.
func zero(file *os.File, at, size int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size = min(size, info.Size()-at)
	zeros := make([]byte, 64<<10)
	for size > 0 {
		n, err := file.WriteAt(zeros[:min(size, int64(len(zeros)))], at)
		if err != nil {
			return err
		}
		at, size = at+int64(n), size-int64(n)
	}
	return nil
}

// Sweep removes files that nobody appends to and that inUse says no to.
func (f *Files) Sweep(inUse func(file string) (bool, error)) error {
	list, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep segment files: %w", err)
	}
	for _, entry := range list {
		if !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		if err := f.sweep(entry.Name(), inUse); err != nil {
			return fmt.Errorf("sweep segment files: %w", err)
		}
	}
	return nil
}

func (f *Files) sweep(name string, inUse func(file string) (bool, error)) error {
	file, err := os.Open(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	defer file.Close()
	// Its writer keeps it locked until the last transaction that may refer to it has
	// ended; so the question comes after the lock.
	if err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil
		}
		return err
	}
	used, err := inUse(name)
	if err != nil || used {
		return err
	}
	return os.Remove(filepath.Join(f.dir, name))
}

// Hold keeps all processes from erasing and sweeping until release, for a backup. It
// waits for one that is at it.
func (f *Files) Hold(ctx context.Context) (release func(), err error) {
	for {
		release, err := f.lock(syscall.LOCK_SH)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("hold segment files: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Tidy calls what erases and sweeps, unless a backup holds the files or another process
// is at it; then it returns false.
func (f *Files) Tidy(call func() error) (done bool, err error) {
	if _, err := os.Stat(f.dir); errors.Is(err, fs.ErrNotExist) {
		return true, nil // nothing was ever appended
	}
	release, err := f.lock(syscall.LOCK_EX)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer release()
	return true, call()
}

func (f *Files) lock(how int) (release func(), err error) {
	if err := f.makeDir(); err != nil {
		return nil, fmt.Errorf("lock segment files: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(f.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock segment files: %w", err)
	}
	if err := flock(file, how|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock segment files: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// path is where a file lies; a name from a database that somebody else made must not
// lead out of the folder.
func (f *Files) path(name string) (string, error) {
	if name != filepath.Base(name) || !strings.HasSuffix(name, suffix) {
		return "", fmt.Errorf("%w: %q is no segment file", ErrDamaged, name)
	}
	return filepath.Join(f.dir, name), nil
}

func sum(b []byte) int64 {
	return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
