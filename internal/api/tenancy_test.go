package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

// openAPI is what the tests read of the description.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string           `json:"operationId"`
		RequestBody *json.RawMessage `json:"requestBody"`
	} `json:"paths"`
}

func (w *world) description(t testing.TB) (doc openAPI) {
	t.Helper()
	_, text := request(t, "GET", w.url+"/openapi.json", "", nil)
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// marker is in everything of the operator that others must not see.
const marker = "alpha-marker"

// state is all that an operator can see of itself.
func (c tenant) state(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, path := range []string{
		"/v1/messages", "/v1/settings/email", "/v1/senders", "/v1/domains", "/v1/suppressions", "/v1/suppressions/exempt", "/v1/webhooks", "/v1/sandbox/messages", "/v1/conservation",
	} {
		_, out[path] = request(t, "GET", c.BaseURL+path, c.Key, nil)
	}
	return out
}

// TestNobodyReachesAnotherOperator walks every operation of the description with the
// ids of another operator: as an operator, and as the platform that acts for one.
func TestNobodyReachesAnotherOperator(t *testing.T) {
	w := newWorld(t)
	a, b := w.tenant(t, marker, waypost.AllScopes()[:7]...), w.tenant(t, "Bravo", waypost.AllScopes()[:7]...)
	if _, err := a.SaveSettings(t.Context(), client.Settings{
		Gateway: &client.Gateway{Type: "smtp", Host: marker + ".example", Security: "none"}, From: marker + "@alpha.example",
		Signature: client.Signature{Text: marker},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Suppress(t.Context(), client.NewSuppression{Address: marker + "@blocked.example", Detail: marker}); err != nil {
		t.Fatal(err)
	}
	if err := a.AddExempt(t.Context(), marker+"@exempt.example"); err != nil {
		t.Fatal(err)
	}
	m := mail()
	m.To, m.Subject, m.Tags = []client.Address{{Email: marker + "@example.com"}}, marker, []string{marker}
	boxed := w.key(t, a.id, auth.CreateRequest{Test: true})
	boxed.until(t, boxed.send(t, m).ID, "delivered")
	m.SendAt = time.Now().Add(time.Hour)
	waiting := a.send(t, m)
	test, err := a.TestSettings(t.Context(), marker+"@example.com", nil)
	if err != nil || !test.Done {
		t.Fatal(test, err)
	}
	a.until(t, test.ID, "delivered")
	domain, err := a.ClaimDomain(t.Context(), marker+".example")
	if err != nil {
		t.Fatal(err)
	}
	hook, err := a.CreateWebhook(t.Context(), client.NewWebhook{URL: "https://127.0.0.1/" + marker, Description: marker})
	if err != nil {
		t.Fatal(err)
	}
	called, err := a.TestWebhook(t.Context(), hook.ID)
	if err != nil {
		t.Fatal(err)
	}
	senders, err := a.Senders(t.Context())
	if err != nil || len(senders) == 0 {
		t.Fatal(senders, err)
	}
	credentials, err := w.root.Credentials(t.Context(), a.id)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{
		"/v1/messages/{id}": waiting.ID, "/v1/messages/{id}/raw": waiting.ID, "/v1/settings/email/test/{id}": test.ID,
		"/v1/sandbox/messages/{id}": collect(t, boxed.Sandbox(t.Context()))[0].ID,
		"/v1/operators/{id}":        a.id, "/v1/operators/{id}/credentials": a.id, "/v1/operators/{id}/credentials/{credential_id}": a.id,
	}
	for _, path := range []string{"", "/enable", "/disable", "/rotate", "/test", "/calls", "/calls/{call_id}", "/calls/{call_id}/resend", "/replay", "/replays"} {
		ids["/v1/webhooks/{id}"+path] = hook.ID
	}
	for _, path := range []string{"", "/check", "/events", "/link"} {
		ids["/v1/domains/{id}"+path] = domain.ID
	}
	ids["/v1/platform/domains/{id}/key"] = domain.ID
	for _, action := range []string{"approve", "reject"} {
		ids["/v1/platform/senders/{id}/"+action] = senders[0].ID
	}
	ids["/v1/senders/{id}"] = senders[0].ID
	ids["/v1/sandbox/messages/{id}/raw"] = ids["/v1/sandbox/messages/{id}"]
	for _, action := range []string{"retry", "cancel", "hold", "release"} {
		ids["/v1/deliveries/{id}/"+action] = waiting.Deliveries[0].ID
		ids["/v1/messages/{id}/"+action] = waiting.Deliveries[0].MessageID
	}
	bodies := map[string]string{
		"send-message":             `{"to":[{"email":"x@example.com"}],"subject":"s","text":"t","from":"` + "x@alpha.example" + `"}`,
		"save-email-settings":      `{"gateway":{"type":"smtp"}}`,
		"test-email-settings":      `{"to":"x@example.com","settings":{"gateway":{"type":"smtp"}}}`,
		"add-suppression":          `{"address":"x@blocked.example"}`,
		"add-exempt":               `{"address":"x@blocked.example"}`,
		"import-suppressions":      "x@blocked.example,unsubscribe\n",
		"claim-domain":             `{"domain":"x.example"}`,
		"add-sender":               `{"address":"x@alpha.example"}`,
		"change-sender":            `{"default":true}`,
		"create-operator":          `{"name":"Charlie","product":"cloud"}`,
		"change-operator":          `{"suspended":true}`,
		"create-credential":        `{}`,
		"link-domain":              `{}`,
		"approve-sender":           `{"force":true}`,
		"reject-sender":            `{"reason":"x"}`,
		"set-domain-key":           `{"key":"0123456789"}`,
		"change-platform-settings": `{"return_path":{"forward":true}}`,
		"create-webhook":           `{"url":"https://127.0.0.1/x"}`,
		"change-webhook":           `{"description":"x"}`,
		"replay-webhook":           `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}`,
	}
	queries := map[string]string{
		"list-messages":       "?recipient=" + marker + "*",
		"list-suppressions":   "?address=" + marker + "*",
		"export-suppressions": "?reason=manual",
		"remove-suppression":  "?address=" + marker + "@blocked.example",
		"remove-exempt":       "?address=" + marker + "@exempt.example",
	}
	platforms := func(path string) bool {
		return strings.HasPrefix(path, "/v1/operators") || strings.HasPrefix(path, "/v1/platform/")
	}
	before := a.state(t)
	asked := map[string]int{}
	for name, c := range map[string]*client.Client{"operator": b.Client, "platform": w.root.For(b.id)} {
		for path, operations := range w.description(t).Paths {
			for method, op := range operations {
				if name == "platform" && platforms(path) {
					continue // the platform may
				}
				target := strings.NewReplacer("{id}", ids[path], "{credential_id}", credentials[0].ID, "{call_id}", called.ID).Replace(path)
				if strings.Contains(path, "{") && ids[path] == "" {
					t.Fatalf("%s: which id? Add it to the table", path)
				}
				body, ok := bodies[op.OperationID]
				if op.RequestBody != nil && !ok {
					t.Fatalf("%s: which body? Add it to the table", op.OperationID)
				}
				asked[op.OperationID]++
				var header []string
				if c.Operator != "" {
					header = []string{"X-Waypost-Operator", c.Operator}
				}
				if op.OperationID == "import-suppressions" {
					header = append(header, "Content-Type", "text/csv")
				}
				res, text := request(t, strings.ToUpper(method), w.url+target+queries[op.OperationID], c.Key, optional(body), header...)
				label := fmt.Sprintf("%s: %s %s: %d %s", name, method, target, res.StatusCode, text)
				if strings.Contains(strings.ReplaceAll(text, target, ""), marker) {
					t.Errorf("%s shows data of another operator", label)
				}
				if denied := res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusForbidden; strings.Contains(path, "{") && !denied {
					t.Errorf("%s, want 403 or 404", label)
				}
				if platforms(path) && res.StatusCode != http.StatusForbidden {
					t.Errorf("%s, want 403", label)
				}
				if res.StatusCode >= 500 {
					t.Error(label)
				}
			}
		}
	}
	if diff := cmp.Diff(before, a.state(t)); diff != "" {
		t.Errorf("something of the other operator changed:\n%s", diff)
	}
	t.Logf("asked %d operations: %v", len(asked), slices.Sorted(maps.Keys(asked)))
}

func optional(body string) io.Reader {
	if body == "" {
		return nil
	}
	return strings.NewReader(body)
}

func TestSecretsAreInNoAnswerAndNoLog(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	const password = "hunter2-secret"
	var answers strings.Builder
	do := func(method, path, body string) {
		_, text := request(t, method, w.url+path, c.Key, optional(body))
		answers.WriteString(text)
	}
	settings := `{"gateway":{"type":"smtp","host":"mail.acme.example","security":"tls","auth":{"username":"acme","password":"` + password + `"%s}}}`
	do("PUT", "/v1/settings/email", fmt.Sprintf(settings, ""))
	do("PUT", "/v1/settings/email", fmt.Sprintf(settings, `,"extra":1`))
	do("PUT", "/v1/settings/email", fmt.Sprintf(settings, `}`)) // not JSON
	do("PUT", "/v1/settings/email", `{"gateway":"`+password+`"}`)
	do("PUT", "/v1/settings/email", `{"gateway":{"type":"smtp","host":"`+password+` x","security":"tls","auth":{"username":"","password":"`+password+`\u0000"}}}`)
	login := `{"gateway":{"type":"smtp","host":"mail.acme.example","security":"tls","auth":{"username":"acme",%s}}}`
	for _, wrong := range []string{
		`"password":["` + password + `"]`, `"password":{"` + password + `":1}`, `"password":"` + password + `","password":"x"`,
		`"password":"` + password + `","PASSWORD":"` + password + `"`, `"password":"` + strings.Repeat(password, 400) + `"`,
		`"password":"` + password + `\ud800","username":1`, `"pasword":"` + password + `"`, `"password":"` + password, `"password":` + password,
		`"password":483920000000000004839200e999`, // a number that nothing can hold
	} {
		do("PUT", "/v1/settings/email", fmt.Sprintf(login, wrong))
		do("POST", "/v1/settings/email/test", `{"to":"me@example.com","settings":`+fmt.Sprintf(login, wrong)+`}`)
	}
	do("PUT", "/v1/settings/email", `{"gateway":{"type":"`+password+`","port":"`+password+`","security":"`+password+`"},"from":"`+password+`"}`)
	do("GET", "/v1/settings/email", "")
	w.peer.set(func(j *waypost.Job) {
		reports(waypost.OutcomePermanent, waypost.Reply{Code: 535, Text: "no"}, "auth")(j)
	})
	do("POST", "/v1/settings/email/test", `{"to":"me@example.com","settings":`+fmt.Sprintf(settings, "")+`}`)
	do("GET", "/v1/settings/email?"+password, "")
	made, err := w.root.CreateCredential(t.Context(), c.id, client.NewCredential{})
	if err != nil {
		t.Fatal(err)
	}
	_, list := request(t, "GET", w.url+"/v1/operators/"+c.id+"/credentials", w.root.Key, nil)
	answers.WriteString(list)
	request(t, "GET", w.url+"/v1/messages", made.Key+"x", nil)
	for name, secret := range map[string]string{"password": password, "password of digits": "4839200", "key": c.Key, "platform key": w.root.Key, "created key": made.Key} {
		text := strings.ReplaceAll(answers.String(), `"query.`+password, "")
		if strings.Contains(text, secret) {
			t.Errorf("the %s is in an answer:\n%s", name, text)
		}
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the %s is in the log:\n%s", name, w.log.String())
		}
	}
	contains(t, w.log.String(), "operation=save-email-settings", "credential=")
}
