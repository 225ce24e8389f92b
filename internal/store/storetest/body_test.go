package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/segment"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// large is a body that does not go into an SQLite database.
func large(word string) string { return strings.Repeat(word+"\r\n", 200<<10/(len(word)+2)) }

// inFiles says whether a word is anywhere beside an SQLite database.
func inFiles(t *testing.T, db *storetest.DB, word string) bool {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(db.URL+engine.SegmentsSuffix, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(word)) {
			return true
		}
	}
	return false
}

func wantBody(t *testing.T, db *storetest.DB, messageID, want string) {
	t.Helper()
	if _, body, err := db.Store.Content(t.Context(), "op", messageID); err != nil || string(body) != want {
		t.Errorf("content: %d bytes of %d, %v", len(body), len(want), err)
	}
	if m, err := db.System.Mail(t.Context(), messageID); err != nil || string(m.Body) != want {
		t.Errorf("mail: %v", err)
	}
}

func TestALargeBodyLiesBesideAnSQLiteDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		report := large("mileage")
		id := accept(t, db, storetest.Mail{Kind: waypost.KindReport, Body: report}).Messages[0].ID
		small := accept(t, db, storetest.Mail{}).Messages[0].ID
		wantBody(t, db, id, report)
		wantBody(t, db, small, "Hello\r\n")
		outside := db.Int(t, "SELECT COUNT(*) FROM body WHERE file <> ''")
		if sqlite := db.Name == "sqlite"; sqlite != (outside == 1) || sqlite != inFiles(t, db, "mileage") {
			t.Errorf("%d bodies in files", outside)
		}
	})
}

// The rule that its erasure is part of the last delivery's transaction has no exception
// for size.
func TestALargeSecurityMailStaysInTheDatabase(t *testing.T) {
	db := storetest.OpenSQLite(t)
	d := acceptLeased(t, db, storetest.Mail{Kind: waypost.KindSecurity, Body: large("passcode")})[0]
	if inFiles(t, db, "passcode") {
		t.Error("written to a file")
	}
	finish(t, db, result(d, waypost.Delivered))
	if n := db.Int(t, "SELECT COUNT(*) FROM body"); n != 0 {
		t.Errorf("%d bodies left", n)
	}
}

func TestAnErasedLargeBodyIsErasedInItsFileToo(t *testing.T) {
	db := storetest.OpenSQLite(t)
	now := storetest.Now()
	var ids []string
	for _, m := range []storetest.Mail{
		{At: now.Add(-day(8)), For: day(30), Body: large("forgotten")},
		{Body: large("remembered")},
	} {
		d := acceptLeased(t, db, m)[0]
		finish(t, db, result(d, waypost.Delivered))
		ids = append(ids, d.MessageID)
	}
	retain(t, db, now)
	// While a backup is made its bytes stay.
	release, err := db.Engine.Segments.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.System.EraseResidue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !inFiles(t, db, "forgotten") {
		t.Error("erased while a backup may need it")
	}
	release()
	if err := db.System.EraseResidue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if inFiles(t, db, "forgotten") {
		t.Error("not erased")
	}
	_, _, err = db.Store.Content(t.Context(), "op", ids[0])
	wantKind(t, err, waypost.NotFound)
	wantBody(t, db, ids[1], large("remembered"))
	if n := db.Int(t, "SELECT COUNT(*) FROM body_residue"); n != 0 {
		t.Errorf("%d bodies still to be erased", n)
	}
}

func TestAFileGoesWithItsLastBody(t *testing.T) {
	db := storetest.OpenSQLite(t)
	now := storetest.Now()
	d := acceptLeased(t, db, storetest.Mail{At: now.Add(-day(8)), For: day(30), Body: large("forgotten")})[0]
	finish(t, db, result(d, waypost.Delivered))
	files := func() int {
		list, err := filepath.Glob(filepath.Join(db.URL+engine.SegmentsSuffix, "*.seg"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	db.Engine.Segments.Close() // as a restart does
	if err := db.System.EraseResidue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files() != 1 {
		t.Error("a file with a body in it was removed")
	}
	retain(t, db, now)
	if err := db.System.EraseResidue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files() != 0 {
		t.Error("a file without bodies is still there")
	}
}

// Someone else's failure in the same group must not cost a large body, nor the order of
// bodies give one mail another's.
func TestLargeBodiesSurviveAFailedGroup(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		accept(t, db, storetest.Mail{Key: "used"})
		const n = 20
		bodies, errs, ids := make([]string, n), make(chan error, n), make([]string, n)
		for i := range n {
			m := storetest.Mail{Body: large("number " + string(rune('a'+i)))}
			if i%3 == 0 {
				m.Body = "small\r\n"
			}
			if i%7 == 3 {
				m.Key = "used"
			}
			a := m.Accepting()
			bodies[i], ids[i] = m.Body, a.Messages[0].ID
			go func() {
				err := db.Store.Accept(context.WithoutCancel(t.Context()), a)
				if m.Key != "" {
					if waypost.AsError(err).Kind != waypost.Conflict {
						err = errors.New("a used key was taken")
					} else {
						err = nil
					}
				}
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for i := range n {
			if i%7 != 3 {
				wantBody(t, db, ids[i], bodies[i])
			}
		}
	})
}

func TestABackupIsWholeWithoutTheFilesBesideTheDatabase(t *testing.T) {
	db := storetest.OpenSQLite(t)
	report := large("mileage")
	id := accept(t, db, storetest.Mail{Kind: waypost.KindReport, Body: report}).Messages[0].ID
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := db.Engine.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if list, err := filepath.Glob(path + "*"); err != nil || len(list) != 1 {
		t.Errorf("left beside the backup: %v", list)
	}
	if err := os.RemoveAll(db.URL + engine.SegmentsSuffix); err != nil {
		t.Fatal(err)
	}
	_, err := db.System.Mail(t.Context(), id)
	if !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("a body whose file is gone: %v", err)
	}
	copied := storetest.OpenFile(t, path)
	if err := copied.Engine.CheckBackup(t.Context()); err != nil {
		t.Error(err)
	}
	wantBody(t, copied, id, report)
	// Of a database with a lost file no backup is made that looks whole.
	if err := db.Engine.Backup(t.Context(), filepath.Join(t.TempDir(), "second.db")); !errors.Is(err, segment.ErrDamaged) {
		t.Error(err)
	}
	if err := db.Engine.CheckBackup(t.Context()); err == nil {
		t.Error("a database with bodies outside passes for a backup")
	}
}
