package waypost_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestEveryCodeOfADetailIsInEnglish(t *testing.T) {
	source, err := os.ReadFile("detail.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`DetailCode += "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if texts := waypost.DetailTexts(); len(codes) < 20 || len(codes) != len(texts) {
		t.Errorf("%d codes, %d texts", len(codes), len(texts))
	}
	for _, m := range codes {
		d := waypost.NewDetail(waypost.DetailCode(m[1]))
		if text := d.String(); text == "" || text == string(d) {
			t.Errorf("%s has no text", m[1])
		}
	}
}

func TestADetailIsReadAsItWasWritten(t *testing.T) {
	hostile := `{"code":"x"} {is} "` + "\u2028<é\xff"
	renamed := waypost.NewDetail(waypost.DetailChanged, "field", "time_zone", "is", hostile, "was", "{is}")
	alone := waypost.NewDetail(waypost.DetailSignature)
	both := waypost.Details("", renamed, "", waypost.NewDetail(waypost.DetailSessions, "count", 3))
	for d, want := range map[waypost.Detail]string{
		"":                            "",
		"a@x.test":                    "a@x.test",
		`["send","read"]`:             `["send","read"]`,
		"{not JSON":                   "{not JSON",
		`{"code":7}`:                  `{"code":7}`,
		`[{"code":"signature"},3]`:    `[{"code":"signature"},3]`,
		`{"code":"of a newer","n":1}`: `{"code":"of a newer","n":1}`,
		waypost.Details():             "",
		waypost.Details("", both[:0]): "",
		waypost.Details("", alone):    "signature",
		waypost.Details(waypost.Details(alone, alone), "", alone): "signature; signature; signature",
		waypost.NewDetail("signature"):                            "signature",
		renamed:                                                   `time zone: "` + strings.ToValidUTF8(hostile, "\ufffd") + `", was "{is}"`,
		both:                                                      `time zone: "` + strings.ToValidUTF8(hostile, "\ufffd") + `", was "{is}"; 3 sessions`,
	} {
		if d.String() != want {
			t.Errorf("%q is %q, want %q", string(d), d.String(), want)
		}
	}
	if facts := both.Facts(); len(facts) != 2 || facts[1].Code != waypost.DetailSessions {
		t.Errorf("%+v", facts)
	}
}
