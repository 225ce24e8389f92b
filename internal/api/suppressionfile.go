package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/sheet"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	mediaCSV       = "text/csv"
	mediaText      = "text/plain"
	mediaMultipart = "multipart/form-data"

	importEnvelope = 64 << 10 // bytes of a form around the file
	exportPageTime = time.Minute
)

func (s *server) registerSuppressionFiles() {
	register(s, operation{
		ID: "export-suppressions", Method: http.MethodGet, Path: "/v1/suppressions/export", Tag: "Suppressions", Status: http.StatusOK, Produces: mediaCSV,
		Summary: "Export suppressions", Description: "All that the parameters pick, as comma-separated values in UTF-8: address, reason, kind (empty: every kind), detail, expires (or never), created, hits, message_id, via. The file can be imported again. In it no cell is a formula: an apostrophe is put before what would be one.",
	}, s.exportSuppressions)
	register(s, operation{
		ID: "import-suppressions", Method: http.MethodPost, Path: "/v1/suppressions/import", Tag: "Suppressions", Status: http.StatusOK,
		MaxBody: account.MaxImportSize + importEnvelope, Consumes: []string{mediaCSV, mediaText, mediaMultipart},
		Summary: "Import suppressions", Description: "A file of at most 5 MiB and 50,000 rows, as the body or as the first file of a form: comma-separated values, or with semicolons or tabs, in UTF-8, with the columns address, reason, kind, detail and expires, in this order or named by the first row; or a plain list with an address in each line. " +
			"Reasons are manual, unsubscribe, hard_bounce and complaint; expires is a day, a time as in RFC 3339, or never, and if it is empty the entry lasts as those for its reason do. Good rows are kept and others refused, each for a reason in the answer. No entry in force ends earlier by an import, so the same file can be imported again.",
	}, s.importSuppressions)
}

func (s *server) exportSuppressions(ctx context.Context, c *caller, in *SuppressionQuery) (*huma.StreamResponse, error) {
	// What cannot be read at all is refused while that can still be said.
	if _, _, err := s.Accounts.Suppressions(ctx, c.operator(), in.filter(), "", 1); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", mediaCSV+"; charset=utf-8")
		h.SetHeader("Content-Disposition", `attachment; filename="suppressions.csv"`)
		_, w := humago.Unwrap(h)
		conn := http.NewResponseController(w)
		more := func() { _ = conn.SetWriteDeadline(time.Now().Add(exportPageTime)) } // else the server's own
		err := s.Accounts.ExportSuppressions(ctx, c.operator(), in.filter(), sheet.NewWriter(h.BodyWriter()), more)
		if err != nil {
			// The client must not take the part for the whole.
			s.Log.WarnContext(ctx, "export broke off", obs.Error(err))
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

type importInput struct {
	Reason      waypost.SuppressionReason `query:"reason" enum:"manual,hard_bounce,complaint,unsubscribe" doc:"Of rows that say none; manual if left out."`
	DryRun      bool                      `query:"dry_run" doc:"Say what would become of the file, and change nothing."`
	ContentType string                    `header:"Content-Type" hidden:"true"`
	RawBody     []byte                    `contentType:"text/csv"`
}

// importReport is what became of a file.
type importReport struct {
	DryRun    bool         `json:"dry_run" doc:"Nothing was changed."`
	Rows      int          `json:"rows"`
	Added     int          `json:"added"`
	Renewed   int          `json:"renewed" doc:"There was an entry that had ended, or would have ended earlier."`
	Unchanged int          `json:"unchanged" doc:"There is an entry that lasts as long, or the same was in the file already."`
	Refused   int          `json:"refused"`
	Problems  []rowProblem `json:"problems" nullable:"false" doc:"Why rows are refused, the first 1,000 of them."`
}

// rowProblem says why a row is refused.
type rowProblem struct {
	Line    int    `json:"line" doc:"Where the row begins, the first line being 1."`
	Text    string `json:"text" doc:"What is wrong in it."`
	Code    string `json:"code" doc:"quote, address, reason, kind, expires, past or exempt."`
	Message string `json:"message"`
}

func (s *server) importSuppressions(ctx context.Context, c *caller, in *importInput) (*answer[importReport], error) {
	file, err := fileOf(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	got, err := s.Accounts.ImportSuppressions(ctx, c.actor(), c.operator(), file, account.SuppressionImport{Reason: in.Reason, Try: in.DryRun})
	if err != nil {
		return nil, err
	}
	return &answer[importReport]{importReport{
		DryRun: in.DryRun, Rows: got.Rows, Added: got.Added, Renewed: got.Renewed, Unchanged: got.Unchanged, Refused: got.Refused,
		Problems: items(got.Problems, func(p account.RowProblem) rowProblem { return rowProblem(p) }),
	}}, nil
}

// fileOf is the file in a request: the body, or the first file of a form.
func fileOf(contentType string, body []byte) (io.Reader, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if kind != mediaMultipart {
		return bytes.NewReader(body), nil
	}
	if err != nil {
		return nil, badForm()
	}
	form := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, waypost.FieldError("file", "the form has no file")
		}
		if err != nil {
			return nil, badForm()
		}
		if part.FileName() != "" {
			return part, nil
		}
	}
}

func badForm() error {
	return &problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "the form cannot be read"}
}
