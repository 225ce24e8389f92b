package panel

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/sheet"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	importPattern = "POST /suppressions/import"
	// maxImportForm bounds that form, in bytes: the file, and what is around it.
	maxImportForm = account.MaxImportSize + 64<<10
	// pastedShown is up to where a file that was tried comes back as text, in bytes, so that
	// importing it takes one more click.
	pastedShown = 64 << 10
	// importProblems is how many refused rows are shown.
	importProblems = 100
)

// importReasons are the reasons for rows that say none.
func importReasons() []waypost.SuppressionReason {
	return []waypost.SuppressionReason{waypost.SuppressedManual, waypost.SuppressedUnsubscribe, waypost.SuppressedHard, waypost.SuppressedComplaint}
}

// fileImport is the form for a file as sent, and what became of it.
type fileImport struct {
	text, reason string
	problem      string
	try          bool
	report       *account.ImportReport
}

// importSuppressions takes a file, or a list that was pasted, or says what would become of
// it.
func (p *panel) importSuppressions(q *request) error {
	if err := q.ParseMultipartForm(maxImportForm); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // the body is bounded, see formLimit
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return err
		}
		return waypost.NewError(waypost.Invalid, "malformed", "")
	}
	f := fileImport{reason: q.value("row_reason"), try: q.value("try") != "", text: q.FormValue("list")}
	if !slices.Contains(importReasons(), waypost.SuppressionReason(f.reason)) {
		f.reason = string(waypost.SuppressedManual)
	}
	file, _, err := q.FormFile("file")
	switch {
	case err == nil:
		defer func() { _ = file.Close() }()
		text, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		if len(text) > 0 {
			f.text = string(text)
		}
	case !errors.Is(err, http.ErrMissingFile) && !errors.Is(err, http.ErrNotMultipart):
		return err
	}
	n := newSuppression{expires: "never", file: &f}
	if strings.TrimSpace(f.text) == "" {
		f.problem = q.T("import.empty")
		return q.showSuppressions(http.StatusUnprocessableEntity, n)
	}
	got, err := p.Accounts.ImportSuppressions(q.Context(), q.by(), q.operator(), strings.NewReader(f.text), account.SuppressionImport{
		Reason: waypost.SuppressionReason(f.reason), Try: f.try,
	})
	if err != nil {
		e := waypost.AsError(err)
		if e.Kind != waypost.Invalid && e.Kind != waypost.TooLarge {
			return err
		}
		f.problem = q.T("import." + e.Code)
		return q.showSuppressions(http.StatusUnprocessableEntity, n)
	}
	f.report = &got
	return q.showSuppressions(http.StatusOK, n)
}

func (q *request) importView(f *fileImport) view.SuppressionImport {
	if f == nil {
		f = &fileImport{reason: string(waypost.SuppressedManual)}
	}
	v := view.SuppressionImport{
		Open:   f.problem != "" || f.report != nil,
		File:   view.Field{Name: "file", Label: q.T("import.file"), Hint: q.T("import.file_hint"), Type: "file", Error: f.problem},
		List:   view.Field{Name: "list", Label: q.T("import.list"), Hint: q.T("import.list_hint"), Rows: 4, Mono: true},
		Reason: view.Field{Name: "row_reason", Label: q.T("import.reason"), Hint: q.T("import.reason_hint"), Value: f.reason},
		CSV:    strings.Replace(q.with("cursor", "", "exempt", ""), "/suppressions", "/suppressions.csv", 1),
	}
	if q.Method != http.MethodGet { // the address is that of the form
		v.CSV = "/suppressions.csv"
	}
	for _, r := range importReasons() {
		v.Reason.Options = append(v.Reason.Options, view.Option{Value: string(r), Label: q.Label("suppression_reason", string(r))})
	}
	text := strings.TrimPrefix(f.text, "\ufeff")
	if f.report == nil && f.problem == "" || len(text) > pastedShown || !utf8.ValidString(text) {
		text = ""
	}
	if f.report == nil || f.try {
		v.List.Value = text
	}
	if f.report == nil {
		return v
	}
	number := func(n int) string { return q.Number(int64(n)) }
	v.Report = &view.ImportReport{
		Try: f.try, Again: f.try && text == "",
		Text: q.T("import.report", "Added", number(f.report.Added), "Renewed", number(f.report.Renewed), "Unchanged", number(f.report.Unchanged), "Refused", number(f.report.Refused)),
	}
	for i, problem := range f.report.Problems {
		if i == importProblems {
			v.Report.More = q.T("import.more", "Count", number(f.report.Refused-importProblems))
			break
		}
		v.Report.Rows = append(v.Report.Rows, view.ImportProblem{Line: number(problem.Line), Text: problem.Text, Why: q.Label("import_problem", problem.Code)})
	}
	return v
}

// suppressionsCSV exports what the list shows, page by page.
func (p *panel) suppressionsCSV(q *request) error {
	f := q.suppressionFilter()
	if _, _, err := p.Accounts.Suppressions(q.Context(), q.operator(), f, "", 1); err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="suppressions-`+p.Now().In(q.Zone).Format("20060102-150405")+`.csv"`)
	_, _ = q.w.Write([]byte("\xef\xbb\xbf")) // without it spreadsheets do not see that it is UTF-8
	conn := http.NewResponseController(q.w)
	more := func() { _ = conn.SetWriteDeadline(time.Now().Add(exportTimeout)) } // not every writer has deadlines
	if err := p.Accounts.ExportSuppressions(q.Context(), q.operator(), f, sheet.NewWriter(q.w), more); err != nil {
		p.Log.WarnContext(q.Context(), "export broke off", obs.Error(err))
		panic(http.ErrAbortHandler) // nobody must take the part for the whole
	}
	return nil
}

// suppressionFilter is what the list is asked for.
func (q *request) suppressionFilter() store.SuppressionFilter {
	query := q.URL.Query()
	f := store.SuppressionFilter{Address: storable(query.Get("find"), 254), Reason: waypost.SuppressionReason(query.Get("reason"))}
	if !slices.Contains(suppressionReasons(), f.Reason) {
		f.Reason = ""
	}
	if kind := waypost.Kind(query.Get("kind")); slices.Contains(suppressionKinds(), kind) {
		f.Kind = kind
	}
	return f
}
