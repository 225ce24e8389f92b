package panel_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// filled are the names that a text or all its plural forms fill in, in lower case.
func filled(pattern string, text any) []string {
	var texts []string
	switch text := text.(type) {
	case string:
		texts = append(texts, text)
	case map[string]any:
		for _, form := range text {
			texts = append(texts, form.(string))
		}
	}
	var list []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(strings.Join(texts, " "), -1) {
		list = append(list, strings.ToLower(m[1]))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestEveryDetailHasATextThatIsFilledInAsInEnglish(t *testing.T) {
	var texts struct{ Detail map[string]any }
	if _, err := toml.DecodeFile("locale/text/en.toml", &texts); err != nil {
		t.Fatal(err)
	}
	codes := waypost.DetailTexts()
	for code, english := range codes {
		text, ok := texts.Detail[string(code)]
		if !ok {
			t.Errorf("%s has no text", code)
			continue
		}
		want := filled(`\{(\w+)\}`, english)
		if got := filled(`\{\{\.(\w+)\}\}`, text); !slices.Equal(got, want) {
			t.Errorf("%s fills in %v, in English %v", code, got, want)
		}
		if _, plural := text.(map[string]any); plural != slices.Contains(want, "count") {
			t.Errorf("%s: plural %v", code, plural)
		}
	}
	for code := range texts.Detail {
		if _, ok := codes[waypost.DetailCode(code)]; !ok {
			t.Errorf("nobody writes %s", code)
		}
	}
}

func TestTheAuditLogSpeaksTheLanguageOfItsReader(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	by := waypost.CommandLine()
	acme := w.operator(t, "Acme")
	if err := w.db.Store.SaveOperator(ctx, by, acme, func(o *waypost.Operator) error {
		o.Uncertain, o.PerMinute, o.Name = waypost.UncertainHold, 1234, hostile
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.db.System.SaveEntitlements(ctx, by, []waypost.Entitlement{
		{Product: waypost.ProductCloud, Gateway: waypost.GatewaySMTP, Allowed: true, Initial: true},
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := w.db.System.ControlWhere(ctx, by, system.Where{All: true}, "hold", time.Now()); err != nil {
		t.Fatal(err)
	}
	for action, detail := range map[string]waypost.Detail{
		"credential.create": `["send","read","of a newer version"]`,
		"session.revoke":    waypost.NewDetail(waypost.DetailSessions, "count", 3),
		"user.change":       waypost.ChangeDetail("language", "", "pt"),
		"settings.save":     waypost.Details(waypost.NewDetail(waypost.DetailServer, "host", "h.example", "port", 2525, "security", "none"), waypost.NewDetail(waypost.DetailSignature)),
		"user.reset":        "asked for by mail, as an older version wrote",
		"sender.rejected":   `{"code":"of_a_newer_version"}`,
		"user.totp.on":      `{"code":"password_recovery","count":"many"}`,
		"user.password":     `{"code":"changed","field":7,"":"x"}`,
		"user.create":       "admin",
	} {
		if err := w.db.System.RecordUser(ctx, by, waypost.User{OperatorID: acme, Login: "ann"}, action, detail, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	staff := w.visitor(t, "", waypost.RoleOwner)
	page := staff.open("/platform/audit")
	page.wants("ServerMate", "When a server does not confirm: Wait for a person (before: Send again)", "Mails a minute: 1,234 (before: No limit)", "Name: "+hostile,
		"Cloud, Own SMTP server Included; new operators start with it", "All waiting mail", "Send mail, See messages and what became of them, of a newer version", "3 sessions", "Language: Português (before: –)",
		"SMTP server: h.example, port 2525, security: None; Signature changed", "asked for by mail, as an older version wrote", `{"code":"of_a_newer_version"}`,
		"ann Administrator")
	page.lacks("<script>alert")
	page = staff.open("/platform/audit?lang=ru")
	page.wants("Если сервер не подтвердил приём: Ждать решения человека (было: Отправить ещё раз)", "Собственный SMTP-сервер Входит в продукт; новые операторы начинают с него",
		"Вся ожидающая почта", "3 сеанса", "SMTP-сервер: h.example, порт 2525, защита соединения: Нет; Подпись изменена", "ann Администратор")
	page.lacks("sessions", "before:")
}
