package api_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/api"
)

var update = flag.Bool("update", false, "write docs/openapi.json") //nolint:gochecknoglobals // a flag of the test

func described(t *testing.T, path string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	api.New(api.Options{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%s: %d", path, rec.Code)
	}
	return rec.Body.String()
}

// TestDescriptionIsTheCommittedOne shows every change of the API in the diff of a
// commit. Run it with -update to write the file.
func TestDescriptionIsTheCommittedOne(t *testing.T) {
	const golden = "../../docs/openapi.json"
	got := described(t, "/openapi.json")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("run go test ./internal/api -update and read the diff:\n%s", diff)
	}
}

// TestDescriptionIsConsistent checks what OpenAPI 3.1 asks for beyond the shape, which
// comes from the library.
func TestDescriptionIsConsistent(t *testing.T) {
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Security    []map[string][]string
			Parameters  []struct{ Name, In string }
			Responses   map[string]struct{ Description string }
		}
		Components struct {
			Schemas         map[string]any
			SecuritySchemes map[string]any
		}
	}
	text := described(t, "/openapi.json")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi = %q", doc.OpenAPI)
	}
	ids := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			label := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s: operationId %q is missing or not its own", label, op.OperationID)
			}
			ids[op.OperationID] = true
			if op.Summary == "" || len(op.Tags) != 1 || len(op.Responses) < 2 {
				t.Errorf("%s lacks summary, tag or answers", label)
			}
			for status, r := range op.Responses {
				if r.Description == "" {
					t.Errorf("%s: answer %s has no description", label, status)
				}
			}
			if len(op.Security) != 1 || doc.Components.SecuritySchemes["key"] == nil {
				t.Errorf("%s asks for no key", label)
			}
			declared := map[string]bool{}
			for _, p := range op.Parameters {
				declared[p.In+" "+p.Name] = true
			}
			for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !declared["path "+m[1]] {
					t.Errorf("%s does not declare %s", label, m[1])
				}
			}
			if tenant := !strings.HasPrefix(path, "/v1/operators") && !strings.HasPrefix(path, "/v1/platform/"); tenant != declared["header X-Waypost-Operator"] {
				t.Errorf("%s: X-Waypost-Operator declared = %v", label, !tenant)
			}
		}
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/schemas/(\w+)"`).FindAllStringSubmatch(text, -1) {
		used[m[1]] = true
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("the schema %s does not exist", m[1])
		}
	}
	for name := range doc.Components.Schemas {
		if !used[name] {
			t.Errorf("the schema %s is not used", name)
		}
	}
	contains(t, described(t, "/openapi.yaml"), "openapi: 3.1.0", "/v1/messages:")
}
