// Package archtest checks what depends on what, over the compiled program: the
// levels of docs/develop.md, and what must not end up in a binary. It has tests
// only.
package archtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "github.com/waypost/waypost/"
	internal = module + "internal/"
)

// level is how high a package stands: it imports lower ones only.
type level int

const (
	nouns     level = iota // imports the standard library only
	leaves                 // import the nouns and libraries only
	storage                // the only SQL
	logic                  // one verb each; none knows another
	protocols              // one edge each; none knows another
	wiring                 // sees everything
	testOnly               // only tests import it; it may import anything
)

// levels has every package below internal/. A folder below a listed one belongs to
// it, unless it is listed itself.
func levels() map[string]level {
	return map[string]level{
		"waypost": nouns,

		"message": leaves, "render": leaves, "dkim": leaves, "dns": leaves, "smtpc": leaves, "guard": leaves,
		"classify": leaves, "secret": leaves, "route": leaves, "obs": leaves, "web": leaves, "limit": leaves, "provider": leaves,
		"unsubscribe": leaves, "sheet": leaves,

		"store": storage,

		"account": logic, "auth": logic, "verify": logic, "submit": logic, "notify": logic, "report": logic,
		"queue": logic, "deliver": logic, "inbound": logic, "webhook": logic, "testmail": logic,

		"smtpd": protocols, "api": protocols, "panel": protocols, "config": protocols,

		"app": wiring,

		"archtest": testOnly, "mailtest": testOnly, "dns/dnstest": testOnly, "store/storetest": testOnly,
	}
}

// planned lists packages of the design that do not exist yet. Whoever creates one
// takes it off the list.
func planned() []string {
	return []string{"render", "notify", "report"}
}

// mayImport names who, besides tests, may import a package that is not for everyone.
func mayImport() map[string][]string {
	return map[string][]string{
		// Reads across operators.
		"store/system": {"store", "queue", "app", "cmd/waypost"},
		// The database connections; everyone else goes through a query of store.
		"store/engine": {"store", "app"},
		// Constructors take plain options.
		"config": {"app", "cmd/waypost"},
	}
}

// pkg is what go list says about a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// list runs go list and returns the packages. With -e, a package that does not build is
// listed all the same: that is for the compiler to say.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Imports,Standard"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list %v: %s", args, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := decoder.Decode(&p); {
		case err == nil:
			all = append(all, p)
		case errors.Is(err, io.EOF):
			return all
		default:
			t.Fatal(err)
		}
	}
}

// builds calls f for each way the program is built.
func builds(t *testing.T, f func(t *testing.T, tags string)) {
	t.Helper()
	for _, tags := range []string{"", "static"} {
		name := tags
		if name == "" {
			name = "default"
		}
		t.Run(name, func(t *testing.T) { f(t, tags) })
	}
}

// owner returns the entry of levels that a package below internal/ belongs to, "" if
// there is none.
func owner(path string) string {
	name, ok := strings.CutPrefix(path, internal)
	if !ok {
		return ""
	}
	for table := levels(); ; {
		if _, ok := table[name]; ok {
			return name
		}
		slash := strings.LastIndexByte(name, '/')
		if slash < 0 {
			return ""
		}
		name = name[:slash]
	}
}

func TestEveryPackageHasALevel(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t, "./internal/...") {
		name := owner(p.ImportPath)
		if name == "" {
			t.Errorf("%s has no level: add it to the table, or merge it into a package that has one", p.ImportPath)
		}
		seen[name] = true
	}
	for name := range levels() {
		switch isPlanned := slices.Contains(planned(), name); {
		case !seen[name] && !isPlanned:
			t.Errorf("internal/%s does not exist any more: take it off the table, or rename it there", name)
		case seen[name] && isPlanned:
			t.Errorf("internal/%s exists: take it off the list of planned packages", name)
		}
	}
}

func TestImportsOnlyGoDown(t *testing.T) {
	builds(t, func(t *testing.T, tags string) {
		table := levels()
		for _, p := range list(t, "-tags", tags, "./internal/...") {
			from := owner(p.ImportPath)
			if from == "" || table[from] == testOnly {
				continue
			}
			for _, path := range p.Imports {
				to := owner(path)
				if to == "" || to == from || table[to] < table[from] {
					continue
				}
				t.Errorf("%s imports %s, but internal/%s is not below internal/%s", p.ImportPath, path, to, from)
			}
		}
	})
}

func TestGuardedPackagesAreImportedByTheListedOnly(t *testing.T) {
	existing := map[string]bool{}
	all := list(t, "./...")
	for _, p := range all {
		existing[p.ImportPath] = true
	}
	for name, allowed := range mayImport() {
		if !existing[internal+name] {
			t.Errorf("internal/%s does not exist any more: rename it here too", name)
		}
		for _, p := range all {
			importer := owner(p.ImportPath)
			if importer == "" {
				importer = strings.TrimPrefix(p.ImportPath, module)
			}
			if slices.Contains(allowed, importer) || levels()[importer] == testOnly && owner(p.ImportPath) != "" {
				continue
			}
			if slices.Contains(p.Imports, internal+name) {
				t.Errorf("%s imports internal/%s, which only %v may", p.ImportPath, name, allowed)
			}
		}
	}
}

func TestNounsImportTheStandardLibraryOnly(t *testing.T) {
	for _, p := range list(t, "-deps", "./internal/waypost") {
		if !p.Standard && p.ImportPath != internal+"waypost" {
			t.Errorf("internal/waypost depends on %s", p.ImportPath)
		}
	}
}

func TestBinaryCarriesNoTestCode(t *testing.T) {
	builds(t, func(t *testing.T, tags string) {
		for _, p := range list(t, "-deps", "-tags", tags, "./cmd/...") {
			name := owner(p.ImportPath)
			if p.ImportPath == "testing" || name != "" && levels()[name] == testOnly {
				t.Errorf("the binary contains %s", p.ImportPath)
			}
		}
	})
}

func TestClientNeedsNothingInternal(t *testing.T) {
	for _, p := range list(t, "./...") {
		if p.ImportPath != module+"client" {
			continue
		}
		for _, dependency := range list(t, "-deps", "./client") {
			if strings.HasPrefix(dependency.ImportPath, internal) {
				t.Errorf("client depends on %s", dependency.ImportPath)
			}
		}
	}
}

// TestBlackBoxTestsImportNothingInternal keeps e2e and bench honest: they know what
// a user knows.
func TestBlackBoxTestsImportNothingInternal(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module)
		if name != "e2e" && name != "bench" && !strings.HasPrefix(name, "e2e/") {
			continue
		}
		for _, path := range p.Imports {
			if strings.HasPrefix(path, internal) && levels()[owner(path)] != testOnly {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}
