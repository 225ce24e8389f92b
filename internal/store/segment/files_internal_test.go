package segment

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestAFullFileIsFollowedByAnother(t *testing.T) {
	files := New(t.TempDir())
	files.size = 100
	defer files.Close()
	data := bytes.Repeat([]byte("x"), 60)
	var refs []Ref
	for range 5 {
		r, err := files.Append([][]byte{data})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, r...)
	}
	if refs[0].File != refs[1].File || refs[1].File == refs[2].File || refs[2].File != refs[3].File || refs[3].File == refs[4].File {
		t.Errorf("files: %+v", refs)
	}
	for _, r := range refs {
		if got, err := files.Read(r); err != nil || !bytes.Equal(got, data) {
			t.Error(err)
		}
	}
}

// Whether a file whose write or sync failed holds what was written before is for the
// disk to say, but it is never appended to again.
func TestAFileThatFailedIsLeftAlone(t *testing.T) {
	files := New(t.TempDir())
	defer files.Close()
	before, err := files.Append([][]byte{[]byte("before")})
	if err != nil {
		t.Fatal(err)
	}
	if err := files.active.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Append([][]byte{[]byte("lost")}); err == nil {
		t.Fatal("a write to a closed file succeeded")
	}
	after, err := files.Append([][]byte{[]byte("after")})
	if err != nil {
		t.Fatal(err)
	}
	if after[0].File == before[0].File {
		t.Error("the same file goes on")
	}
	for _, r := range []Ref{before[0], after[0]} {
		if _, err := files.Read(r); err != nil {
			t.Error(err)
		}
	}
}

func TestWhereNoHolesCanBeMadeZerosAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, r := range []Ref{{At: 10, Size: 150_000}, {At: 199_990, Size: 1000}, {At: 300_000, Size: 10}} {
		if err := zero(file, r.At, r.Size); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Repeat([]byte("x"), 10), make([]byte, 150_000)...)
	want = append(want, bytes.Repeat([]byte("x"), 199_990-150_010)...)
	want = append(want, make([]byte, 10)...)
	if !bytes.Equal(got, want) {
		t.Error("other bytes than those asked for are zero")
	}
}
