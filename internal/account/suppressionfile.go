package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/sheet"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// Bounds of a file of suppressions.
const (
	MaxImportSize = 5 << 20 // bytes
	maxImportRows = 50_000
	importBatch   = 500  // rows in a transaction
	importShown   = 1000 // rows whose problem is told
	maxDetail     = 200  // characters
)

// SuppressionImport is how a file is taken.
type SuppressionImport struct {
	Reason waypost.SuppressionReason // of rows that say none; "" for manual
	Try    bool                      // say what would become of it, and change nothing
}

// ImportReport is what became of a file, in rows.
type ImportReport struct {
	Rows      int // with something in them, without the names of the columns
	Added     int
	Renewed   int // there was one that had ended, or ended earlier
	Unchanged int // there is one that lasts as long, or the same was in the file already
	Refused   int
	Problems  []RowProblem // why rows are refused, the first thousand of them
}

// RowProblem says why a row is refused.
type RowProblem struct {
	Line    int    // where it begins, from 1
	Text    string // what is wrong in it, as far as it can be shown
	Code    string // see the constants; for translations
	Message string
}

// The codes of row problems.
const (
	rowQuote   = "quote"
	rowAddress = "address"
	rowReason  = "reason"
	rowKind    = "kind"
	rowExpires = "expires"
	rowPast    = "past"
	rowExempt  = "exempt"
)

// columns of a file, in their order where it names none.
func importColumns() []string { return []string{"address", "reason", "kind", "detail", "expires"} }

// columnNames are the names columns go by in files of this and other programs.
func columnNames() map[string]string {
	return map[string]string{
		"address": "address", "email": "address", "e-mail": "address", "email address": "address", "recipient": "address", "emailaddress": "address",
		"reason": "reason", "type": "reason", "kind": "kind", "detail": "detail", "details": "detail", "note": "detail", "description": "detail",
		"expires": "expires", "expires_at": "expires",
	}
}

// importReason reads a reason as this and other programs call it. That an address refused
// mail for a while is not worth carrying around.
func importReason(s string) (waypost.SuppressionReason, bool) {
	switch strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(s)) {
	case "manual":
		return waypost.SuppressedManual, true
	case "hard_bounce", "hardbounce", "bounce", "bounced", "permanent":
		return waypost.SuppressedHard, true
	case "complaint", "spam", "spam_report", "spamreport", "spam_complaint", "spamcomplaint", "abuse":
		return waypost.SuppressedComplaint, true
	case "unsubscribe", "unsubscribed":
		return waypost.SuppressedUnsubscribe, true
	}
	return "", false
}

// ImportSuppressions reads a file of suppressions: comma-separated values, or with semicolons
// or tabs; the columns address, reason, kind, detail and expires, in this order or named by
// the first row; or a plain list of addresses. Good rows are kept and others refused, each
// for a reason in the report. It is written in transactions of 500 rows, and none in force
// ends earlier by it: after an error the same file can simply be imported again. A file that
// cannot be read at all is an Invalid error, one that is too long TooLarge.
func (s *Service) ImportSuppressions(ctx context.Context, by waypost.Actor, operatorID string, file io.Reader, how SuppressionImport) (ImportReport, error) {
	if operatorID == waypost.PlatformOperatorID {
		return ImportReport{}, errPlatformMail()
	}
	if how.Reason == "" {
		how.Reason = waypost.SuppressedManual
	}
	settings, err := s.o.Directory.Platform(ctx)
	if err != nil {
		return ImportReport{}, err
	}
	f := importFile{how: how, policy: settings.Suppression, now: time.Now().UTC().Truncate(time.Millisecond), seen: map[string]bool{}}
	if err := f.read(file); err != nil {
		return ImportReport{}, err
	}
	defer s.o.Directory.forget(operatorID)
	f.report.Rows = len(f.rows) + f.report.Refused + f.report.Unchanged
	entry := waypost.AuditEntry{
		OperatorID: operatorID, Actor: by, Action: "suppression.import", Detail: waypost.NewDetail(waypost.DetailImported, "count", len(f.rows), "refused", f.report.Refused),
	}
	entries := []waypost.AuditEntry{entry} // with the first of them: what is written later began with it
	for batch := range slices.Chunk(f.rows, importBatch) {
		list := make([]waypost.Suppression, len(batch))
		for i, row := range batch {
			list[i] = row.Suppression
		}
		var done []store.Imported
		if how.Try {
			done, err = s.o.Store.TryImport(ctx, operatorID, list)
		} else {
			done, err = s.o.Store.ImportSuppressions(ctx, operatorID, list, entries...)
		}
		if err != nil {
			return f.report, err
		}
		entries = nil
		for i, what := range done {
			f.count(batch[i], what)
		}
	}
	slices.SortStableFunc(f.report.Problems, func(a, b RowProblem) int { return a.Line - b.Line })
	return f.report, nil
}

// importFile is a file on its way.
type importFile struct {
	how     SuppressionImport
	policy  waypost.SuppressionPolicy
	now     time.Time
	columns map[string]int
	rows    []importRow
	seen    map[string]bool
	report  ImportReport
}

type importRow struct {
	waypost.Suppression
	line int
}

// read reads and checks all rows.
func (f *importFile) read(file io.Reader) error {
	limited := &io.LimitedReader{R: file, N: MaxImportSize + 1}
	in, err := sheet.NewReader(limited)
	if err != nil {
		return fileError(err.Error())
	}
	for first := true; ; first = false {
		line, cells, err := in.Read()
		if limited.N == 0 {
			return waypost.NewError(waypost.TooLarge, "file_too_large", fmt.Sprintf("the file has more than %d bytes; import it in parts", MaxImportSize))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, sheet.ErrQuote):
			f.refuse(line, "", rowQuote, err.Error())
			continue
		case err != nil:
			return err
		}
		if first && f.header(cells) {
			if _, ok := f.columns["address"]; !ok {
				return fileError("the first row names columns, but none is called address")
			}
			continue
		}
		if f.columns == nil {
			f.columns = map[string]int{}
			for i, name := range importColumns() {
				f.columns[name] = i
			}
		}
		f.row(line, cells)
		if len(f.rows)+f.report.Refused+f.report.Unchanged > maxImportRows {
			return waypost.NewError(waypost.TooLarge, "file_too_large", fmt.Sprintf("the file has more than %d rows; import it in parts", maxImportRows))
		}
	}
}

// header reads the names of columns, if that is what the cells are.
func (f *importFile) header(cells []string) bool {
	names, columns := columnNames(), map[string]int{}
	for i, cell := range cells {
		if strings.Contains(cell, "@") {
			return false
		}
		if name, ok := names[strings.ToLower(strings.TrimSpace(cell))]; ok {
			if _, twice := columns[name]; !twice {
				columns[name] = i
			}
		}
	}
	if len(columns) == 0 {
		return false
	}
	f.columns = columns
	return true
}

// row checks one row.
func (f *importFile) row(line int, cells []string) {
	cell := func(name string) string {
		if i, ok := f.columns[name]; ok && i < len(cells) {
			return sheet.Plain(strings.TrimSpace(strings.ToValidUTF8(cells[i], "\uFFFD")))
		}
		return ""
	}
	if strings.TrimSpace(strings.Join(cells, "")) == "" {
		return
	}
	n := waypost.Suppression{Address: store.NormalizeAddress(cell("address")), Reason: f.how.Reason, Detail: oneLine(cell("detail")), Created: f.now}
	if _, _, err := waypost.SplitAddress(n.Address); err != nil {
		f.refuse(line, cell("address"), rowAddress, "this is no e-mail address")
		return
	}
	if s := cell("reason"); s != "" {
		reason, ok := importReason(s)
		if !ok {
			f.refuse(line, s, rowReason, "the reason must be manual, unsubscribe, hard_bounce or complaint")
			return
		}
		n.Reason = reason
	}
	if s := strings.ToLower(cell("kind")); s != "" && s != string(waypost.AllKinds) {
		kind, ok := waypost.ParseKind(s)
		if !ok {
			f.refuse(line, s, rowKind, "there is no such kind of mail")
			return
		}
		n.Kind = kind
	}
	var ok bool
	if n.Expires, ok = f.expires(n.Reason, cell("expires")); !ok {
		f.refuse(line, cell("expires"), rowExpires, "the end must be a day such as 2027-01-31, a time as in RFC 3339, or never")
		return
	}
	if !n.InForce(f.now) {
		f.refuse(line, cell("expires"), rowPast, "it has ended")
		return
	}
	key := strings.Join([]string{n.Address, string(n.Reason), string(n.Kind)}, "\n")
	if f.seen[key] {
		f.report.Unchanged++
		return
	}
	f.seen[key] = true
	f.rows = append(f.rows, importRow{Suppression: n, line: line})
}

// never is how a file says that a suppression does not end. Where it says nothing, one lasts
// as those for its reason do.
const never = "never"

func (f *importFile) expires(reason waypost.SuppressionReason, s string) (time.Time, bool) {
	switch {
	case strings.EqualFold(s, never):
		return time.Time{}, true
	case s != "":
		for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime} {
			if t, err := time.Parse(layout, s); err == nil && t.Year() < 10000 {
				return t.UTC().Truncate(time.Millisecond), true
			}
		}
		return time.Time{}, false
	}
	switch reason {
	case waypost.SuppressedHard:
		return f.now.Add(f.policy.Hard), true
	case waypost.SuppressedComplaint:
		return f.now.Add(f.policy.Complaint), true
	case waypost.SuppressedUnsubscribe:
		return f.now.Add(f.policy.Unsubscribe), true
	default:
		return time.Time{}, true
	}
}

func (f *importFile) count(row importRow, what store.Imported) {
	switch what {
	case store.ImportAdded:
		f.report.Added++
	case store.ImportRenewed:
		f.report.Renewed++
	case store.ImportUnchanged:
		f.report.Unchanged++
	case store.ImportExempt:
		f.refuse(row.line, row.Address, rowExempt, "the address is exempt from bounces and complaints")
	}
}

func (f *importFile) refuse(line int, text, code, message string) {
	f.report.Refused++
	if len(f.report.Problems) < importShown {
		f.report.Problems = append(f.report.Problems, RowProblem{Line: line, Text: oneLine(text), Code: code, Message: message})
	}
}

func fileError(text string) error {
	return &waypost.Error{Kind: waypost.Invalid, Code: "bad_file", Field: "file", Message: text}
}

// oneLine makes a note of a cell: in one line, and not longer than notes are.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }), " ")
	if runes := []rune(s); len(runes) > maxDetail {
		return string(runes[:maxDetail-1]) + "…"
	}
	return s
}

// exportPage is how many suppressions are read at once for a file.
const exportPage = 1000

// ExportSuppressions writes the suppressions that a filter picks as a file that can be
// imported again. flushed is called after every page, for deadlines.
func (s *Service) ExportSuppressions(ctx context.Context, operatorID string, f store.SuppressionFilter, out sheet.Writer, flushed func()) error {
	out.Row(append(importColumns(), "created", "hits", "message_id", "via"))
	for cursor := ""; ; {
		list, next, err := s.o.Store.Suppressions(ctx, operatorID, f, cursor, exportPage)
		if err != nil {
			return err
		}
		for _, n := range list {
			expires := never
			if !n.Expires.IsZero() {
				expires = n.Expires.UTC().Format(time.RFC3339)
			}
			out.Row([]string{
				n.Address, string(n.Reason), string(n.Kind), n.Detail, expires, n.Created.UTC().Format(time.RFC3339), strconv.Itoa(n.Hits), n.MessageID, string(n.Via),
			})
		}
		if err := out.Flush(); err != nil {
			return err
		}
		flushed()
		if cursor = next; next == "" {
			return nil
		}
	}
}
