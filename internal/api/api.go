package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/limit"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/testmail"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/web"
)

// Accepter makes a submission durable; *submit.Pipeline does.
type Accepter interface {
	Accept(ctx context.Context, s waypost.Submission) (waypost.Receipt, error)
}

// Queue is what the API asks the delivery queue.
type Queue interface {
	// Why says in a sentence why a queued delivery is not being tried now.
	Why(a *waypost.Account, d *waypost.Delivery) string
	// Wake makes the queue look for due deliveries at once.
	Wake()
}

// Sandbox shows the sandbox with the mails of kind security, to the platform owner
// alone; *system.System does.
type Sandbox interface {
	SandboxAll(ctx context.Context, operatorID, cursor string, limit int) ([]store.SandboxMail, string, error)
	SandboxAnyEntry(ctx context.Context, id string) (store.SandboxMail, error) // without the content
	SandboxAny(ctx context.Context, id string) (store.SandboxMail, error)
}

// Domains checks domains; *verify.Watcher does.
type Domains interface {
	// CheckNow checks a domain of an operator and returns it as it is then.
	CheckNow(ctx context.Context, operatorID, id string) (store.CheckedDomain, error)
}

// Notices tells operators what the platform's support decided.
type Notices interface {
	SendersAssigned(ctx context.Context, operatorID string, senders []waypost.Sender)
	SenderRejected(ctx context.Context, s waypost.Sender)
}

// Options make the handler.
type Options struct {
	Store     *store.Store
	Accounts  *account.Service
	Directory *account.Directory
	Auth      *auth.Auth
	Accepter  Accepter
	Queue     Queue
	Sandbox   Sandbox
	Domains   Domains
	Tests     *testmail.Tester
	Asks      *verify.Asks // for checks of domains; nil: a count of its own
	Notices   Notices      // nil: nobody is told
	Webhooks  Webhooks     // nil: there is no test of webhooks
	Memory    *web.Memory  // for the content of mail; nil: one of its own
	Platform  route.Platform

	PlatformDNS      PlatformDNS
	PlatformSettings PlatformSettings

	PublicURL      string          // where clients reach this server, for links and the description; "" goes by the request
	LinkKeys       verify.LinkKeys // links to domains' pages are signed with the first and known by any; nil: they end with the process
	TrustedProxies []netip.Prefix  // whose X-Forwarded-For is believed
	MaxMessageSize int64           // bytes; 0 means 25 MiB
	BodyBudget     int64           // bytes of memory for big requests at once, beside 64 MiB for small ones; 0 means 192 MiB
	TestWait       time.Duration   // how long the answer to a test mail waits for its end; 0 means 60 s
	Log            *slog.Logger
}

// New returns the handler of /v1/, /openapi.json, /openapi.yaml and /docs. It answers
// any other path with 404. It panics if an operation is not in the table of rules, or its
// body cannot be checked, so a program with such a hole does not start.
func New(o Options) http.Handler {
	s := newServer(o)
	s.registerMessages()
	s.registerDeliveries()
	s.registerSandbox()
	s.registerSettings()
	s.registerDomains()
	s.registerSenders()
	s.registerSuppressions()
	s.registerWebhooks()
	s.registerOperators()
	s.registerCredentials()
	s.registerPlatform()
	s.registerPlatformSettings()
	s.registerApproval()
	for id := range s.rules {
		if !s.registered[id] {
			panic(fmt.Sprintf("api: there is a rule for %q, but no such operation", id))
		}
	}
	s.describeWebhooks()
	s.describe()
	return s.observe(s.unmatched(s.mux))
}

type server struct {
	Options
	mux        *http.ServeMux
	api        huma.API
	front      web.Front
	rules      map[string]rule
	registered map[string]bool
	failures   *limit.Limits       // wrong keys, per client address
	changes    *limit.Limits       // requests that change something, per key
	budget     *semaphore.Weighted // of large bodies
	small      *semaphore.Weighted // of small ones
}

func newServer(o Options) *server {
	if o.MaxMessageSize == 0 {
		o.MaxMessageSize = 25 << 20
	}
	if o.BodyBudget == 0 {
		o.BodyBudget = 192 << 20
	}
	if o.Memory == nil {
		o.Memory = web.NewMemory(web.MemoryOptions{})
	}
	if o.TestWait == 0 {
		o.TestWait = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.LinkKeys) == 0 {
		o.LinkKeys = verify.LinkKeys{[]byte(rand.Text())}
	}
	if o.Asks == nil {
		o.Asks = verify.NewAsks()
	}
	s := &server{
		Options: o, mux: http.NewServeMux(), front: web.Front{URL: o.PublicURL, Proxies: o.TrustedProxies}, rules: rules(), registered: map[string]bool{},
		failures: limit.New(20.0/60, 20), changes: limit.New(10, 600), small: semaphore.NewWeighted(smallBudget),
	}
	s.budget = semaphore.NewWeighted(max(o.BodyBudget, bodyWeight*s.maxMessageBody()))
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Waypost API", Version: "1", Description: description},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"key": {Type: "http", Scheme: "bearer", Description: "An API key."},
				},
			},
			Tags: tags(),
		},
		Formats:                      map[string]huma.Format{mediaJSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                mediaJSON,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{refuseInProblems},
	}
	if o.PublicURL != "" {
		config.Servers = []*huma.Server{{URL: o.PublicURL}}
	}
	s.api = humago.New(s.mux, config)
	s.api.UseMiddleware(s.access, s.body)
	return s
}

// operation describes an endpoint to register.
type operation struct {
	ID          string // entry in rules
	Method      string
	Path        string
	Tag         string
	Summary     string
	Description string
	Status      int      // of a success
	MaxBody     int64    // bytes of the request body; 0 means 1 MiB
	Produces    string   // media type of an answer that is not JSON
	Consumes    []string // media types of a request that is not JSON; its handler checks it
}

// register adds an endpoint. Its handler is called with a caller who may do this.
func register[I, O any](s *server, o operation, handle func(context.Context, *caller, *I) (*O, error)) {
	r, ok := s.rules[o.ID]
	if !ok {
		panic(fmt.Sprintf("api: operation %q has no rule", o.ID))
	}
	s.registered[o.ID] = true
	op := huma.Operation{
		OperationID: o.ID, Method: o.Method, Path: o.Path, Summary: o.Summary, Tags: []string{o.Tag},
		Description:     fmt.Sprintf("%s\n\nScope: `%s`.", o.Description, r.scope),
		DefaultStatus:   o.Status,
		Security:        []map[string][]string{{"key": {}}},
		MaxBodyBytes:    -1, // body reads it
		BodyReadTimeout: -1,
		// body checks it too. huma's check takes hundreds of times the size of what it looks at.
		SkipValidateBody: true,
		Metadata:         map[string]any{metaMaxBody: o.MaxBody, metaConsumes: o.Consumes},
		Responses:        s.answers(o),
	}
	if len(o.Consumes) > 0 {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
		for _, kind := range o.Consumes {
			op.RequestBody.Content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
		}
	}
	if r.tenant {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: headerOperator, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "The operator to act for, by id. Required with a key of the platform; with a key of an operator it can only be that operator.",
		})
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		c := callerOf(ctx)
		defer c.release() // before the answer is written: a client that does not take it holds nothing
		out, err := handle(ctx, c, in)
		if err != nil {
			return nil, s.problem(ctx, c.operation, err)
		}
		return out, nil
	})
	s.mustCheck(o)
}

// mustCheck sees to it that the schema of a request body says nothing that checker does
// not keep.
func (s *server) mustCheck(o operation) {
	item := s.api.OpenAPI().Paths[o.Path]
	for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch, item.Delete} {
		if op == nil || op.OperationID != o.ID || op.RequestBody == nil || len(o.Consumes) > 0 {
			continue
		}
		if why := checkable(s.api.OpenAPI().Components.Schemas, bodySchema(op)); why != "" {
			panic(fmt.Sprintf("api: the body of operation %q has %s, which is not checked", o.ID, why))
		}
	}
}

// Page is a list that goes on at next.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next" doc:"Pass it as cursor to get what follows; empty at the end."`
}

// Paging are the parameters of a list.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"500" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Items on a page."`
}

// answer is a JSON body.
type answer[T any] struct {
	Body T
}

// items never is null in JSON.
func items[T, R any](list []T, convert func(T) R) []R {
	out := make([]R, len(list))
	for i, v := range list {
		out[i] = convert(v)
	}
	return out
}

// stamp writes an instant in RFC 3339, UTC, with milliseconds; "" for the zero one.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
