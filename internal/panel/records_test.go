package panel_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/panel"
	"github.com/waypost/waypost/internal/panel/locale"
)

// source is the text of all files of a package but its tests.
func source(t *testing.T, patterns ...string) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}

func english(t *testing.T) *locale.Locale {
	t.Helper()
	b, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	return b.Locale("en", "UTC")
}

func TestEveryAdviceHasAText(t *testing.T) {
	l, text := english(t), source(t, "../verify/*.go")
	codes := regexp.MustCompile(`AdviceCode = "(\w+)"|advise\("(\w+)"`).FindAllStringSubmatch(text, -1)
	if len(codes) < 70 {
		t.Fatalf("only %d codes found: has the source changed?", len(codes))
	}
	for _, m := range codes {
		if code := m[1] + m[2]; !l.Has("domain_advice." + code) {
			t.Errorf("nobody says what to do about %s", code)
		}
	}
	for _, code := range panel.Wordy() {
		if !strings.Contains(text, `"`+code+`"`) {
			t.Errorf("%s is no code", code)
		}
	}
}

func TestEveryRecordHasATitleAndAPurpose(t *testing.T) {
	l := english(t)
	for set, parts := range map[string][]string{
		"record": {"ownership", "spf", "dkim1", "dkim2", "dmarc", "return_path"},
		"platform_record": {
			"dkim1", "dkim2", "selector1", "selector2", "addresses", "spf", "dmarc", "return_path_mx", "return_path_spf", "reply_mx", "ptr", "helo",
		},
	} {
		for _, part := range parts {
			if !l.Has(set+"_title."+part) || !l.Has(set+"_why."+part) {
				t.Errorf("%s has no title or purpose as %s", part, set)
			}
		}
	}
}

func TestEventsAreExplainedInTheWordsTheyAreWrittenWith(t *testing.T) {
	l, text := english(t), source(t, "../verify/*.go", "../store/*.go", "../store/system/*.go")
	for sentence, key := range panel.EventReasons() {
		if !strings.Contains(text, `"`+sentence+`"`) {
			t.Errorf("nobody writes %q any more", sentence)
		}
		if !l.Has("domain_why." + key) {
			t.Errorf("%s has no text", key)
		}
	}
	for _, m := range regexp.MustCompile(`DomainEventType = "(\w+)"`).FindAllStringSubmatch(source(t, "../waypost/domain.go"), -1) {
		if !l.Has("domain_event." + m[1]) {
			t.Errorf("the event %s has no text", m[1])
		}
	}
}
