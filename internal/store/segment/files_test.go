package segment_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store/segment"
)

const mega = 1 << 20

func fill(b byte, size int) []byte { return bytes.Repeat([]byte{b}, size) }

func appendTo(t testing.TB, f *segment.Files, list ...[]byte) []segment.Ref {
	t.Helper()
	refs, err := f.Append(list)
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

// names lists the segment files of a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func nobody(string) (bool, error) { return false, nil }

func TestWhatIsAppendedIsRead(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		dir = filepath.Join(dir, "bodies")
		files := segment.New(dir)
		defer func() { files.Close() }()
		type kept struct {
			ref  segment.Ref
			data []byte
		}
		var all []kept
		for range rapid.IntRange(1, 10).Draw(r, "appends") {
			if rapid.IntRange(0, 3).Draw(r, "restart") == 0 {
				files.Close()
				files = segment.New(dir)
			}
			var list [][]byte
			for range rapid.IntRange(1, 4).Draw(r, "bodies") {
				list = append(list, fill(rapid.Byte().Draw(r, "fill"), rapid.IntRange(0, 2*mega/1024).Draw(r, "size")))
			}
			refs, err := files.Append(list)
			if err != nil {
				r.Fatal(err)
			}
			for i, ref := range refs {
				all = append(all, kept{ref, list[i]})
			}
		}
		for i, k := range all {
			if rapid.IntRange(0, 4).Draw(r, "erase") == 0 {
				if err := files.Erase([]segment.Ref{k.ref}); err != nil {
					r.Fatal(err)
				}
				all[i].data = nil
			}
		}
		for _, k := range all {
			if k.data == nil {
				continue
			}
			if got, err := segment.New(dir).Read(k.ref); err != nil || !bytes.Equal(got, k.data) {
				r.Fatalf("read %d bytes of %d: %v", len(got), len(k.data), err)
			}
		}
	})
}

func TestErasedBytesAreGoneAndTheirRoomIsBack(t *testing.T) {
	dir := t.TempDir()
	files := segment.New(dir)
	defer files.Close()
	refs := appendTo(t, files, fill('a', mega), fill('b', mega), fill('c', mega))
	before := blocks(t, names(t, dir)[0])
	if err := files.Erase(refs[1:2]); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(names(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	if bytes.IndexByte(raw, 'b') >= 0 {
		t.Error("erased bytes are still there")
	}
	if after := blocks(t, names(t, dir)[0]); after > before-mega/2/512 {
		t.Errorf("%d blocks before, %d after", before, after)
	}
	if _, err := files.Read(refs[1]); !errors.Is(err, segment.ErrDamaged) {
		t.Error(err)
	}
	for _, i := range []int{0, 2} {
		if _, err := files.Read(refs[i]); err != nil {
			t.Error(err)
		}
	}
	// Done again, or of a file that is gone, it is as good as done.
	if err := files.Erase([]segment.Ref{refs[1], {File: "gone.seg", Size: 1}}); err != nil {
		t.Error(err)
	}
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks
}

func TestDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	files := segment.New(dir)
	defer files.Close()
	ref := appendTo(t, files, fill('a', mega))[0]
	beyond := ref
	beyond.At = 1
	for name, r := range map[string]segment.Ref{
		"too short":       beyond,
		"missing":         {File: "gone.seg", Size: 1},
		"out of the dir":  {File: "../gone.seg", Size: 1},
		"negative offset": {File: ref.File, At: -1, Size: 1},
		"negative size":   {File: ref.File, Size: -1},
		"huge size":       {File: ref.File, At: 1, Size: 1<<63 - 1},
		"not a segment":   {File: "lock", Size: 0},
	} {
		if _, err := files.Read(r); !errors.Is(err, segment.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw, err := os.OpenFile(names(t, dir)[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.WriteAt([]byte{'x'}, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Read(ref); !errors.Is(err, segment.ErrDamaged) {
		t.Error(err)
	}
}

func TestOnlyFilesThatNobodyNeedsAreSwept(t *testing.T) {
	dir := t.TempDir()
	old := segment.New(dir)
	unused := appendTo(t, old, fill('a', 10))[0]
	old.Close()
	old = segment.New(dir)
	used := appendTo(t, old, fill('b', 10))[0]
	old.Close()
	mine, theirs := segment.New(dir), segment.New(dir)
	defer mine.Close()
	defer theirs.Close()
	active := []segment.Ref{appendTo(t, mine, fill('c', 10))[0], appendTo(t, theirs, fill('d', 10))[0]}
	if err := mine.Sweep(func(file string) (bool, error) { return file == used.File, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Read(unused); !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("not swept: %v", err)
	}
	for _, r := range append(active, used) {
		if _, err := mine.Read(r); err != nil {
			t.Errorf("swept: %v", err)
		}
	}
	failed := errors.New("cannot tell")
	if err := mine.Sweep(func(string) (bool, error) { return false, failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := mine.Read(used); err != nil {
		t.Errorf("swept although nobody could tell: %v", err)
	}
}

func TestABackupKeepsOthersFromTidyingUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bodies")
	files, other := segment.New(dir), segment.New(dir)
	defer files.Close()
	appendTo(t, files, fill('a', 10))
	release, err := other.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := other.Hold(t.Context()) // two backups do not mind each other
	if err != nil {
		t.Fatal(err)
	}
	again()
	if done, err := files.Tidy(func() error { t.Error("called"); return nil }); done || err != nil {
		t.Errorf("done = %v, %v", done, err)
	}
	release()
	done, err := files.Tidy(func() error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := other.Hold(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("held while others tidy up: %v", err)
		}
		return nil
	})
	if !done || err != nil {
		t.Errorf("done = %v, %v", done, err)
	}
}

func TestNothingIsMadeBeforeTheFirstAppend(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bodies")
	files := segment.New(dir)
	defer files.Close()
	if done, err := files.Tidy(func() error { t.Error("called"); return nil }); !done || err != nil {
		t.Errorf("done = %v, %v", done, err)
	}
	if err := files.Sweep(nobody); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder is there")
	}
}

func TestManyMayAppendAtOnce(t *testing.T) {
	files := segment.New(t.TempDir())
	defer files.Close()
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			data := fill(byte(i), 1000)
			refs, err := files.Append([][]byte{data})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := files.Read(refs[0]); err != nil || !bytes.Equal(got, data) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
