package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/client"
	"github.com/waypost/waypost/internal/api"
	"github.com/waypost/waypost/internal/waypost"
)

// dense repeats part of a body until it has about size bytes.
func dense(before, part, after string, size int) string {
	return before + strings.Repeat(part, (size-len(before)-len(after))/len(part)) + after
}

// numbered is a part of a body n times, with its number in it.
func numbered(format string, n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

// TestARefusalCostsLittleMoreThanTheRequest sends what once made answers of hundreds of
// megabytes: dense lists, names that add up in locations, values that were repeated.
func TestARefusalCostsLittleMoreThanTheRequest(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme", waypost.AllScopes()[:7]...)
	const (
		big       = 2 << 20
		mebibyte  = 1<<20 - 1
		recipient = `"to":[{"email":"a@b.c"}],"text":"t"`
	)
	messages, settings, test := "POST /v1/messages", "PUT /v1/settings/email", "POST /v1/settings/email/test"
	operators, operator := "POST /v1/operators", "PATCH /v1/operators/"+c.id
	for _, tc := range []struct{ name, endpoint, body string }{
		{"empty recipients", messages, dense(`{"to":[`, `{},`, `{}]}`, big)},
		{"empty recipients in a small body", messages, dense(`{"to":[`, `{},`, `{}]}`, 63<<10)},
		{"too many recipients", messages, dense(`{"to":[`, `{"email":"a@b.c"},`, `{}]}`, big)},
		{"too many tags", messages, dense(`{"tags":["a","b","c","d","e","f","g","h","i","j",`, `"",`, `""]}`, big)},
		{"too many attachments", messages, dense(`{"attachments":[`, `{"name":"a","content":""},`, `{}]}`, big)},
		{"too many headers", messages, "{" + recipient + `,"headers":{` + numbered(`"X-%d":""`, 100000) + "}}"},
		{"too much metadata", messages, "{" + recipient + `,"metadata":{` + numbered(`"%d":1`, 100000) + "}}"},
		{"a second list in capitals", messages, dense("{"+recipient+`,"TO":[`, `{},`, `{}]}`, big)},
		{"the same list again and again", messages, dense(`{`, `"to":[],`, `"to":[]}`, big)},
		{"names with dots", messages, "{" + numbered(`"a.b.c.d.e.f.g.h.i.%d":1`, 60000) + "}"},
		{"names with dots in headers", messages, "{" + recipient + `,"headers":{` + numbered(`"`+strings.Repeat("a.b", 3000)+`%d":1`, 100) + "}}"},
		{"names in escapes", messages, "{" + numbered(`"\u0061%d":1`, 100000) + "}"},
		{"a long name", messages, dense(`{"`, "x", `":1}`, big)},
		{"a long name of a header", messages, dense("{"+recipient+`,"headers":{"`, "x", `":1}}`, big)},
		{"a long unknown value", messages, dense(`{"x":"`, "x", `"}`, big)},
		{"a long address", messages, dense(`{"to":[{"email":"`, "x", `"}],"text":"t"}`, big)},
		{"a long address in escapes", messages, dense(`{"to":[{"email":"`, `\u0061`, `"}],"text":"t"}`, big)},
		{"a long kind", messages, dense("{"+recipient+`,"kind":"`, "x", `"}`, big)},
		{"a long time", messages, dense("{"+recipient+`,"send_at":"`, "x", `"}`, big)},
		{"a long number", messages, dense(`{"to":1`, "1", `}`, big)},
		{"a long port", test, dense(`{"to":"a@b.c","settings":{"gateway":{"type":"smtp","port":1`, "1", `}}}`, mebibyte)},
		{"long quotes", messages, dense(`{"kind":"`, `\"`, `"}`, big)},
		{"deep lists", messages, dense(`{"to":`, "[", "", big)},
		{"lists within lists", messages, `{"to":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}"},
		{"objects within objects", messages, `{"from":` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9001)},
		{"not an object", messages, dense(`[`, `[],`, `0]`, big)},
		{"no end", messages, dense(`{"to":[`, `{},`, ``, big)},
		{"header values of megabytes", messages, dense("{"+recipient+`,"headers":{"X-A":"`, "ü", `"}}`, big)},
		{"read-only list", settings, dense(`{"allowed":[`, `0,`, `0]}`, mebibyte)},
		{"long read-only list", settings, dense(`{"warnings":[`, `"",`, `""]}`, mebibyte)},
		{"read-only list in a test", test, dense(`{"to":"a@b.c","settings":{"allowed":[`, `0,`, `0]}}`, mebibyte)},
		{"a long host", settings, dense(`{"gateway":{"type":"smtp","host":"`, "ü", `"}}`, mebibyte)},
		{"a long password", settings, dense(`{"gateway":{"type":"smtp","host":"h.example","security":"tls","auth":{"username":"u","password":"`, "x", `"}}}`, mebibyte)},
		{"a long signature", settings, dense(`{"signature":{"text":"`, "ü", `"}}`, mebibyte)},
		{"a long address to suppress", "POST /v1/suppressions", dense(`{"address":"`, "x", `"}`, mebibyte)},
		{"lists to suppress", "POST /v1/suppressions", dense(`{"address":[`, `[],`, `[]]}`, mebibyte)},
		{"a long name of an operator", operators, dense(`{"product":"cloud","name":"`, "x", `"}`, mebibyte)},
		{"another name of an operator", operator, dense(`{"name":[`, `{},`, `{}]}`, mebibyte)},
		{"networks", operator + "/credentials", dense(`{"networks":[`, `"",`, `""]}`, mebibyte)},
		{"a long network", operator + "/credentials", dense(`{"networks":["`, "x", `"]}`, mebibyte)},
		{"parameters that nobody knows", "GET /v1/messages?" + strings.ReplaceAll(numbered("%d.a", 9000), ",", "&"), ""},
		{"a long parameter", "GET /v1/messages?" + strings.Repeat("a", 60<<10), ""},
		{"a parameter with a long value", "GET /v1/messages?limit=" + strings.Repeat("1", 60<<10), ""},
		{"scopes", operator + "/credentials", dense(`{"scopes":[`, `"",`, `""]}`, mebibyte)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := c.Key
			method, path, _ := strings.Cut(tc.endpoint, " ")
			if strings.HasPrefix(path, "/v1/operators") {
				key = w.root.Key
			}
			if strings.HasSuffix(path, "/credentials") {
				method = http.MethodPost
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			res, text := request(t, method, w.url+path, key, optional(tc.body))
			runtime.ReadMemStats(&after)
			if res.StatusCode/100 != 4 {
				t.Errorf("%d %.1000s", res.StatusCode, text)
			}
			if len(text) > 16<<10 {
				t.Errorf("the answer has %d bytes", len(text))
			}
			// Reading takes twice the size, decoding what looked right as much again.
			if took, most := after.TotalAlloc-before.TotalAlloc, uint64(8*len(tc.body)+4<<20); took > most {
				t.Errorf("a request of %d bytes took %d, more than %d", len(tc.body), took, most)
			}
		})
	}
}

func TestTheLargestMailThatIsAllowedIsTaken(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	m := mail()
	m.To, m.Headers, m.Metadata = nil, map[string]string{}, map[string]string{}
	for i := range 1000 {
		m.To = append(m.To, client.Address{Email: fmt.Sprintf("driver%d@example.com", i), Name: "Driver [1] {2}, \"three\""})
	}
	for i := range 100 {
		m.Attachments = append(m.Attachments, client.Attachment{Name: fmt.Sprintf("track.%d.csv", i), Content: []byte("lat,lon\r\n")})
		m.Headers[fmt.Sprintf("X-Unit.%d", i)] = "4711"
	}
	for i := range 20 {
		m.Metadata[fmt.Sprintf("unit.%d[]", i)] = "{},"
	}
	for i := range 10 {
		m.Tags = append(m.Tags, fmt.Sprintf("tag %d", i))
	}
	if r := c.send(t, m); len(r.Deliveries) != 1000 {
		t.Errorf("%d deliveries", len(r.Deliveries))
	}
}

func TestAnAnswerNamesTheFirstProblemsAndCountsTheRest(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	for _, tc := range []struct {
		name, body  string
		first       client.FieldError
		last, count string
	}{
		{"unknown fields", "{" + numbered(`"field%d":1`, 30) + "}", client.FieldError{Location: "body.field0", Message: "unexpected property"}, "and 10 more", "(and 29 more)"},
		{"wrong addresses", `{"text":"t","to":[` + numbered(`{"email":"no %d"}`, 30) + "]}", client.FieldError{Location: "body.to[0].email"}, "and 10 more", "(and 29 more)"},
		{"more than anybody reads", "{" + numbered(`"field%d":1`, 3000) + "}", client.FieldError{Location: "body.field0"}, "and at least 980 more", "(and at least 999 more)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(tc.body))
			var p struct {
				Detail string
				Errors []client.FieldError
			}
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				t.Fatal(text, err)
			}
			if len(p.Errors) != 21 || p.Errors[0].Location != tc.first.Location || !strings.HasPrefix(p.Errors[0].Message, tc.first.Message) {
				t.Fatalf("errors = %+v", p.Errors)
			}
			if diff := cmp.Diff(client.FieldError{Message: tc.last}, p.Errors[20]); diff != "" {
				t.Error(diff)
			}
			contains(t, p.Detail, tc.count)
		})
	}
}

// TestNoNameComesTwice is about what the decoder makes of it: the second list of
// recipients would be written over the first, and keep names of it.
func TestNoNameComesTwice(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	const mail = `"to":[{"email":"a@example.com"}],"subject":"s","text":"t"`
	for name, tc := range map[string]struct{ body, location string }{
		"field":            {`{` + mail + `,"to":[{"email":"b@example.com"}]}`, "body.to"},
		"in capitals":      {`{` + mail + `,"To":[]}`, "body.to"},
		"in escapes":       {`{` + mail + `,"\u0074o":[]}`, "body.to"},
		"as null":          {`{` + mail + `,"to":null}`, "body.to"},
		"in an object":     {`{"to":[{"email":"a@example.com","Email":"b@example.com"}],"text":"t"}`, "body.to[0].email"},
		"header":           {`{` + mail + `,"headers":{"X-A":"1","X-A":"2"}}`, "body.headers.X-A"},
		"name of a header": {`{` + mail + `,"metadata":{"a":"1","\u0061":"2"}}`, "body.metadata.a"},
	} {
		t.Run(name, func(t *testing.T) {
			res, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(tc.body))
			wantProblem(t, res, text, 422, "invalid", tc.location)
			contains(t, text, "is there twice")
		})
	}
	res, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(`{`+strings.ToUpper(mail)+`}`))
	if res.StatusCode != http.StatusAccepted {
		t.Errorf("in capitals, once: %d %s", res.StatusCode, text)
	}
}

func TestTooManyRecipientsGetOneAnswerHoweverTheyAreSpread(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	for name, tc := range map[string]struct {
		to, cc, bcc int
		location    string
	}{
		"to":   {1001, 0, 0, "body.to"},
		"cc":   {1, 1500, 0, "body.cc"},
		"bcc":  {0, 0, 5000, "body.bcc"},
		"both": {600, 600, 0, "body.to"},
	} {
		t.Run(name, func(t *testing.T) {
			m := mail()
			list := func(n int) []client.Address {
				out := make([]client.Address, n)
				for i := range out {
					out[i].Email = fmt.Sprintf("driver%d@example.com", i)
				}
				return out
			}
			m.To, m.Cc, m.Bcc = list(tc.to), list(tc.cc), list(tc.bcc)
			_, err := c.Send(t.Context(), m)
			wantRefusal(t, err, 413, "too_many_recipients", tc.location)
			contains(t, refused(t, err).Detail, " recipients, 1000 are allowed")
		})
	}
}

// gate is an Accepter that waits.
type gate struct{ entered, open chan struct{} }

// Accept implements api.Accepter.
func (g gate) Accept(context.Context, waypost.Submission) (waypost.Receipt, error) {
	g.entered <- struct{}{}
	<-g.open
	return waypost.Receipt{ID: "x", Deliveries: []waypost.ReceiptDelivery{}}, nil
}

func TestSmallRequestsHaveABudgetOfTheirOwn(t *testing.T) {
	const clients = 300 // 64 MiB are five times of some 200 bodies
	accepter := gate{make(chan struct{}, clients+1), make(chan struct{})}
	w := newWorld(t, func(o *api.Options) { o.Accepter = accepter })
	c := w.tenant(t, "Acme")
	body := dense(`{"to":[{"email":"a@example.com"}],"subject":"s","text":"`, "x", `"}`, 63<<10)
	var wg sync.WaitGroup
	busy := make(chan string, clients)
	for range clients {
		wg.Go(func() {
			res, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(body))
			switch res.StatusCode {
			case http.StatusAccepted:
			case http.StatusServiceUnavailable:
				busy <- text
			default:
				t.Errorf("%d %s", res.StatusCode, text)
			}
		})
	}
	refused := 0
	for range clients {
		select {
		case text := <-busy:
			refused++
			contains(t, text, `"code":"busy"`)
		case <-accepter.entered:
		}
	}
	if refused == 0 || refused > 100 {
		t.Errorf("%d of %d were refused", refused, clients)
	}
	close(accepter.open)
	wg.Wait()
	res, text := request(t, "POST", w.url+"/v1/messages", c.Key, strings.NewReader(body))
	if res.StatusCode != http.StatusAccepted {
		t.Errorf("afterwards: %d %s", res.StatusCode, text)
	}
}

func TestARequestThatWaitsForItsBodyKeepsNobodyOut(t *testing.T) {
	w := newWorld(t)
	c := w.tenant(t, "Acme")
	for range 300 { // more than there is memory for when they are complete
		reader, writer := io.Pipe()
		t.Cleanup(func() { _ = writer.CloseWithError(io.ErrClosedPipe) })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v1/messages", reader)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.Key)
		go func() {
			if res, err := http.DefaultTransport.RoundTrip(req); err == nil { //nolint:forbidigo // as in request
				res.Body.Close()
			}
		}()
		if _, err := io.WriteString(writer, strings.Repeat(" ", 60<<10)); err != nil {
			t.Fatal(err)
		}
	}
	c.send(t, mail())
}
