package panel_test

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

func mustNetworks(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestTheAuditLogSaysWhoDidWhat(t *testing.T) {
	w := newWorld(t)
	acme, other := w.operator(t, "Acme"), w.operator(t, "Other")
	v := w.visitor(t, acme, waypost.RoleViewer)
	_, key, err := w.options.Auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{OperatorID: acme, Name: hostile})
	if err != nil {
		t.Fatal(err)
	}
	_, platform, err := w.options.Auth.Create(t.Context(), waypost.CommandLine(), auth.CreateRequest{Platform: true, Name: "Secret project"})
	if err != nil {
		t.Fatal(err)
	}
	suppress := func(by waypost.Actor, address string) {
		t.Helper()
		if err := w.db.Store.AddSuppression(t.Context(), by, acme, waypost.Suppression{Address: address, Reason: waypost.SuppressedManual}); err != nil {
			t.Fatal(err)
		}
	}
	suppress(waypost.Actor{ID: "credential:" + key.ID, Peer: "192.0.2.7"}, "a@x.example")
	suppress(waypost.Actor{ID: "credential:" + platform.ID}, "b@x.example")
	suppress(waypost.Actor{ID: "credential:gone"}, "c@x.example")
	suppress(waypost.Policy(), "d@x.example")
	suppress(waypost.Actor{ID: "user:x", Name: strings.Repeat("w", 10_000)}, "e@x.example")
	if err := w.db.Store.AddSuppression(t.Context(), waypost.CommandLine(), other, waypost.Suppression{Address: "theirs@x.example", Reason: waypost.SuppressedManual}); err != nil {
		t.Fatal(err)
	}
	got := v.open("/audit")
	got.wants("Created the operator", "Command line", "Added a suppression", "a@x.example Added by hand", "192.0.2.7", "Key "+hostile, "A key of the platform", "Key gone",
		"By itself", "Signed in", v.user.Login)
	got.lacks("<script>alert", "theirs@x.example", "Secret project")

	auditor := w.visitor(t, "", waypost.RoleAuditor)
	got = auditor.open("/platform/audit")
	got.wants("theirs@x.example", "a@x.example", "Acme", "Other", "Key Secret project", "Platform")
	got.lacks("<script>alert")
	got = auditor.open("/platform/audit?operator=other")
	got.wants("theirs@x.example", "Created the operator")
	got.lacks("a@x.example")
	auditor.open("/platform/audit?operator=nobody").wants("There is no such operator.")
	if got := v.get("/platform/audit"); got.status != http.StatusForbidden {
		t.Errorf("%d", got.status)
	}
}

func TestAnEmptyAuditLogSaysSo(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	w.db.Exec(t, "DELETE FROM audit")
	v.open("/audit").wants("Nothing was changed yet")
	w.visitor(t, "", waypost.RoleOwner).open("/platform/audit?operator=" + acme).wants("Nothing was changed yet")
}

func TestTheAuditLogHasPages(t *testing.T) {
	w := newWorld(t)
	acme := w.operator(t, "Acme")
	v := w.visitor(t, acme, waypost.RoleAdmin)
	for i := range 60 {
		address := string(rune('a'+i/10)) + string(rune('0'+i%10)) + "@x.example"
		if err := w.db.Store.AddSuppression(t.Context(), waypost.Policy(), acme, waypost.Suppression{Address: address, Reason: waypost.SuppressedManual}); err != nil {
			t.Fatal(err)
		}
	}
	first := v.open("/audit")
	first.wants("f9@x.example", "b0@x.example")
	first.lacks("a9@x.example")
	second := v.open(nextOf(t, first))
	second.wants("a9@x.example", "Created the operator", "First page")
	second.lacks("b0@x.example")
	v.open("/audit?before=zzzz%27%20OR%201=1%20--%00%ff").lacks("</script><script>")

	owner := w.visitor(t, "", waypost.RoleOwner)
	next := nextOf(t, owner.open("/platform/audit?operator=Acme"))
	if !strings.Contains(next, "operator=Acme") {
		t.Errorf("the filter is lost: %s", next)
	}
	owner.open(next).wants("a0@x.example")
}

// reActions find where actions are named: the ways in which the store writes to the log.
var reActions = regexp.MustCompile(`(?:audit\([^"\n]*|Action: +|entry\([^"\n]*|acting\([^"\n]*|EndSession\([^"\n]*|RecordUser\([^"\n]*|return )"([a-z]+\.[a-z_.]*)"`)

func TestEveryActionOfTheAuditLogHasWords(t *testing.T) {
	var texts struct{ Audit map[string]string }
	if _, err := toml.DecodeFile("locale/text/en.toml", &texts); err != nil {
		t.Fatal(err)
	}
	families := map[string][]string{
		"delivery.": {"retry", "cancel", "hold", "release"}, "queue.": {"retry", "cancel", "hold", "release"},
		"message.": {"retry", "cancel", "hold", "release"}, "sender.": {"requested", "assigned", "rejected"},
	}
	seen := 0
	for _, pattern := range []string{"../store/*.go", "../store/system/*.go", "../auth/*.go", "../account/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range reActions.FindAllStringSubmatch(string(source), -1) {
				actions := []string{m[1]}
				if verbs, ok := families[m[1]]; ok {
					actions = nil
					for _, verb := range verbs {
						actions = append(actions, m[1]+verb)
					}
				}
				for _, action := range actions {
					seen++
					if texts.Audit[strings.ReplaceAll(action, ".", "_")] == "" {
						t.Errorf("%s: %s has no words", file, action)
					}
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d actions found: where are they named now?", seen)
	}
}
