package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/engine"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

// world is an Auth on a real store.
type world struct {
	*auth.Auth
	*system.System
	reads atomic.Int32 // of credentials
	fail  error        // what reading answers
}

func (w *world) CredentialByHash(ctx context.Context, hash []byte) (*store.Credential, error) {
	w.reads.Add(1)
	if w.fail != nil {
		return nil, w.fail
	}
	return w.System.CredentialByHash(ctx, hash)
}

func (w *world) NetworkCredentials(ctx context.Context) ([]store.Credential, error) {
	w.reads.Add(1)
	if w.fail != nil {
		return nil, w.fail
	}
	return w.System.NetworkCredentials(ctx)
}

// operators reads operators past any cache.
type operators struct{ w *world }

func (o operators) Get(ctx context.Context, id string) (*waypost.Account, error) {
	if o.w.fail != nil {
		return nil, o.w.fail
	}
	op, err := o.w.System.Operator(ctx, id)
	return &waypost.Account{Operator: op}, err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Options{URL: filepath.Join(t.TempDir(), "waypost.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	w := &world{System: system.New(store.New(e, "test"))}
	if err := w.InitInstance(t.Context(), "check"); err != nil {
		t.Fatal(err)
	}
	w.Auth = auth.New(auth.Options{Store: w, Operators: operators{w}})
	return w
}

func (w *world) operator(t *testing.T) string {
	t.Helper()
	o, err := w.CreateOperator(t.Context(), waypost.CommandLine(), waypost.Operator{Name: "Acme", Product: waypost.ProductCloud})
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func (w *world) create(t *testing.T, r auth.CreateRequest) (string, store.Credential) {
	t.Helper()
	key, c, err := w.Create(t.Context(), waypost.CommandLine(), r)
	if err != nil {
		t.Fatal(err)
	}
	return key, c
}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	if e := waypost.AsError(err); e.Kind != waypost.Unauthenticated || e.Message != "unknown or revoked key" {
		t.Errorf("error %v, want the one refusal", err)
	}
}

func TestKeyIsShownOnceAndAuthenticates(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t)
	tests := []struct {
		name    string
		request auth.CreateRequest
		key     string
		want    waypost.Principal
	}{
		{
			"operator",
			auth.CreateRequest{OperatorID: id},
			`^wp_live_[a-z2-7]{32}$`,
			waypost.Principal{OperatorID: id, Scopes: waypost.DefaultScopes(), FromPolicy: waypost.FromReplace},
		},
		{
			"test key",
			auth.CreateRequest{
				OperatorID: id, Test: true, Scopes: []waypost.Scope{"send", "send:security", "send"},
				DefaultKind: waypost.KindSecurity, FromPolicy: waypost.FromRefuse,
			},
			`^wp_test_[a-z2-7]{32}$`,
			waypost.Principal{
				OperatorID: id, Test: true, Scopes: []waypost.Scope{"send", "send:security"},
				DefaultKind: waypost.KindSecurity, FromPolicy: waypost.FromRefuse,
			},
		},
		{
			"platform",
			auth.CreateRequest{Platform: true},
			`^wp_live_[a-z2-7]{32}$`,
			waypost.Principal{
				Platform: true, Scopes: append(waypost.DefaultScopes(), waypost.ScopeOperators), FromPolicy: waypost.FromReplace,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, c := w.create(t, tt.request)
			if !regexp.MustCompile(tt.key).MatchString(key) || c.Hint != key[:12] {
				t.Errorf("key %q, hint %q", key, c.Hint)
			}
			tt.want.CredentialID = c.ID
			w.reads.Store(0)
			for range 3 {
				got, err := w.Authenticate(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			}
			if n := w.reads.Load(); n != 1 {
				t.Errorf("%d reads for three logins, want 1", n)
			}
		})
	}
}

func TestWrongKeysGetOneAnswer(t *testing.T) {
	w := newWorld(t)
	key, c := w.create(t, auth.CreateRequest{OperatorID: w.operator(t)})
	if _, err := w.Authenticate(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := w.Revoke(t.Context(), waypost.CommandLine(), c.OperatorID, c.ID); err != nil {
		t.Fatal(err)
	}
	unknown := "wp_live_" + strings.Repeat("a", 32)
	tests := []struct {
		name, key string
		reads     int32 // of two tries
	}{
		{"revoked", key, 1},
		{"unknown", unknown, 1},
		{"empty", "", 0},
		{"short", "wp_live_abc", 0},
		{"other prefix", "wp_dead_" + strings.Repeat("a", 32), 0},
		{"upper case", strings.ToUpper(unknown), 0},
		{"space around", " " + unknown + " ", 0},
		{"character that base32 lacks", "wp_live_" + strings.Repeat("1", 32), 0},
		{"a megabyte", strings.Repeat("a", 1<<20), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.reads.Store(0)
			for range 2 {
				_, err := w.Authenticate(t.Context(), tt.key)
				wantRefused(t, err)
			}
			if n := w.reads.Load(); n != tt.reads {
				t.Errorf("%d reads, want %d", n, tt.reads)
			}
		})
	}
}

func TestARevocationElsewhereCountsOnceAnnounced(t *testing.T) {
	w := newWorld(t)
	key, c := w.create(t, auth.CreateRequest{OperatorID: w.operator(t), Networks: prefixes("10.1.0.0/16")})
	p, err := w.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddr("10.1.2.3")
	if _, ok, err := w.Network(t.Context(), peer); !ok || err != nil {
		t.Fatalf("Network = %v, %v", ok, err)
	}
	if err := w.Valid(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeAny(t.Context(), waypost.CommandLine(), c.ID); err != nil { // past Auth, as another process would
		t.Fatal(err)
	}
	w.Changed(t.Context())
	_, err = w.Authenticate(t.Context(), key)
	wantRefused(t, err)
	wantRefused(t, w.Valid(t.Context(), p))
	if _, ok, err := w.Network(t.Context(), peer); ok || err != nil {
		t.Errorf("Network = %v, %v", ok, err)
	}
}

func TestPlatformCredentialsStayValidWhateverOperatorTheyName(t *testing.T) {
	w := newWorld(t)
	key, c := w.create(t, auth.CreateRequest{Platform: true})
	p, err := w.Password(t.Context(), netip.Addr{}, w.operator(t), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Valid(t.Context(), p); err != nil {
		t.Error(err)
	}
	if err := w.Revoke(t.Context(), waypost.CommandLine(), "", c.ID); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, w.Valid(t.Context(), p))
}

func TestKeysAreRecognizedFromMemoryOnceTheyWereValid(t *testing.T) {
	w := newWorld(t)
	key, c := w.create(t, auth.CreateRequest{OperatorID: w.operator(t)})
	unknown := "wp_live_" + strings.Repeat("a", 32)
	if _, err := w.Authenticate(t.Context(), unknown); err == nil {
		t.Fatal("an unknown key authenticated")
	}
	w.reads.Store(0)
	for name, key := range map[string]string{"not used yet": key, "unknown": unknown, "no key": "wrong", "empty": ""} {
		if w.Recognizes(key) {
			t.Errorf("%s: recognized", name)
		}
	}
	if _, err := w.Authenticate(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.Changed(t.Context())
	if !w.Recognizes(key) {
		t.Error("not recognized after it authenticated and something changed")
	}
	if n := w.reads.Load(); n != 1 { // by Authenticate
		t.Errorf("%d reads", n)
	}
	if err := w.Revoke(t.Context(), waypost.CommandLine(), c.OperatorID, c.ID); err != nil {
		t.Fatal(err)
	}
	_, err := w.Authenticate(t.Context(), key) // recognized is not valid
	wantRefused(t, err)
}

func TestAnAbsentDatabaseRefusesNobody(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t)
	key, _ := w.create(t, auth.CreateRequest{Platform: true})
	w.fail = errors.New("database is away")
	if _, err := w.Authenticate(t.Context(), key); !errors.Is(err, w.fail) {
		t.Errorf("Authenticate = %v", err)
	}
	if _, _, err := w.Network(t.Context(), netip.MustParseAddr("10.0.0.1")); !errors.Is(err, w.fail) {
		t.Errorf("Network = %v", err)
	}
	w.fail = nil
	if _, err := w.Authenticate(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.fail = errors.New("database is away")
	if _, err := w.Password(t.Context(), netip.Addr{}, id, key); !errors.Is(err, w.fail) {
		t.Errorf("Password = %v", err)
	}
}

func TestUserNameNamesTheOperatorForThePlatformOnly(t *testing.T) {
	w := newWorld(t)
	own, other := w.operator(t), w.operator(t)
	operatorKey, _ := w.create(t, auth.CreateRequest{OperatorID: own, Networks: prefixes("10.0.0.0/8")})
	platformKey, _ := w.create(t, auth.CreateRequest{Platform: true})
	outside := netip.MustParseAddr("192.0.2.1") // networks restrict nothing
	tests := []struct {
		name, user, key, want string
	}{
		{"operator, empty user", "", operatorKey, own},
		{"operator, any user", "alice@acme.example", operatorKey, own},
		{"operator, another's id", other, operatorKey, own},
		{"platform, id", other, platformKey, other},
		{"platform, id in capitals", " " + strings.ToUpper(own), platformKey, own},
		{"platform, empty user", "", platformKey, ""},
		{"platform, any user", "waypost", platformKey, ""},
		{"platform, unknown id", waypost.NewID(), platformKey, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := w.Password(t.Context(), outside, tt.user, tt.key)
			if err != nil || p.OperatorID != tt.want || p.Platform != (tt.key == platformKey) {
				t.Errorf("Password = %+v, %v", p, err)
			}
		})
	}
	_, err := w.Password(t.Context(), outside, own, "wrong")
	wantRefused(t, err)
}

func TestSuspendedOperatorsStillAuthenticate(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t)
	key, _ := w.create(t, auth.CreateRequest{OperatorID: id})
	if err := w.SaveOperator(t.Context(), waypost.CommandLine(), id, func(o *waypost.Operator) error { o.Suspended = true; return nil }); err != nil {
		t.Fatal(err)
	}
	w.Changed(t.Context())
	if _, err := w.Authenticate(t.Context(), key); err != nil {
		t.Error(err)
	}
}

func TestTheLongestNetworkDecides(t *testing.T) {
	w := newWorld(t)
	acme, other := w.operator(t), w.operator(t)
	_, wide := w.create(t, auth.CreateRequest{OperatorID: acme, Networks: prefixes("10.0.0.0/8", "2001:db8::/32")})
	_, narrow := w.create(t, auth.CreateRequest{OperatorID: acme, Networks: prefixes("10.1.2.99/24", "::ffff:172.16.0.0/108")})
	_, second := w.create(t, auth.CreateRequest{OperatorID: other, Networks: prefixes("192.0.2.1/32", "fd00::/64")})
	w.create(t, auth.CreateRequest{OperatorID: acme, Networks: prefixes("10.1.2.0/24")}) // the older one wins
	tests := []struct{ peer, want string }{
		{"10.200.0.1", wide.ID},
		{"10.1.2.3", narrow.ID},
		{"::ffff:10.1.2.3", narrow.ID},
		{"172.31.255.255", narrow.ID},
		{"172.32.0.0", ""},
		{"2001:db8:1::1", wide.ID},
		{"192.0.2.1", second.ID},
		{"192.0.2.2", ""},
		{"fd00::1%eth0", second.ID},
		{"127.0.0.1", ""},
	}
	for _, tt := range tests {
		p, ok, err := w.Network(t.Context(), netip.MustParseAddr(tt.peer))
		if err != nil || p.CredentialID != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %+v, %v, %v; want credential %q", tt.peer, p, ok, err, tt.want)
		}
	}
	if _, ok, err := w.Network(t.Context(), netip.Addr{}); ok || err != nil {
		t.Errorf("no address: %v, %v", ok, err)
	}
	if diff := cmp.Diff(prefixes("10.1.2.0/24", "172.16.0.0/12"), narrow.Networks, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error("networks are not masked:", diff)
	}
}

// TestTheNetworkFoundIsTheOneASlowSearchFinds compares with going through all.
func TestTheNetworkFoundIsTheOneASlowSearchFinds(t *testing.T) {
	w := newWorld(t)
	id := w.operator(t)
	rapid.Check(t, func(rt *rapid.T) {
		made := map[string]netip.Prefix{}
		for range rapid.IntRange(0, 5).Draw(rt, "credentials") {
			addr := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 1).Draw(rt, "b")), byte(rapid.IntRange(0, 3).Draw(rt, "c")), 0})
			n := netip.PrefixFrom(addr, rapid.SampledFrom([]int{8, 15, 16, 23, 24, 32}).Draw(rt, "bits"))
			_, c := w.create(t, auth.CreateRequest{OperatorID: id, Networks: []netip.Prefix{n}})
			made[c.ID] = n.Masked()
		}
		peer := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 2).Draw(rt, "peer b")), byte(rapid.IntRange(0, 3).Draw(rt, "peer c")), 0})
		longest := -1
		for _, n := range made {
			if n.Contains(peer) {
				longest = max(longest, n.Bits())
			}
		}
		p, ok, err := w.Network(t.Context(), peer)
		if err != nil || ok != (longest >= 0) || ok && (made[p.CredentialID].Bits() != longest || !made[p.CredentialID].Contains(peer)) {
			rt.Fatalf("%v in %v: %+v, %v, %v", peer, made, p, ok, err)
		}
		for cid := range made {
			if err := w.Revoke(t.Context(), waypost.CommandLine(), id, cid); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func TestCredentialsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t)
	id, other := w.operator(t), w.operator(t)
	w.create(t, auth.CreateRequest{OperatorID: other, Networks: prefixes("10.9.0.0/16")})
	tests := []struct {
		name    string
		request auth.CreateRequest
		kind    waypost.ErrorKind
		field   string
	}{
		{"nobody's", auth.CreateRequest{}, waypost.Invalid, "operator_id"},
		{"two owners", auth.CreateRequest{OperatorID: id, Platform: true}, waypost.Invalid, "operator_id"},
		{"unknown operator", auth.CreateRequest{OperatorID: waypost.NewID()}, waypost.NotFound, ""},
		{"long name", auth.CreateRequest{OperatorID: id, Name: strings.Repeat("x", 201)}, waypost.Invalid, "name"},
		{"name with control", auth.CreateRequest{OperatorID: id, Name: "a\nb"}, waypost.Invalid, "name"},
		{"name that reads otherwise", auth.CreateRequest{OperatorID: id, Name: "a\u202eb"}, waypost.Invalid, "name"},
		{"unknown scope", auth.CreateRequest{OperatorID: id, Scopes: []waypost.Scope{"everything"}}, waypost.Invalid, "scopes"},
		{"platform's scope", auth.CreateRequest{OperatorID: id, Scopes: []waypost.Scope{"operators"}}, waypost.Invalid, "scopes"},
		{"platform's network", auth.CreateRequest{Platform: true, Networks: prefixes("10.0.0.0/8")}, waypost.Invalid, "networks"},
		{"no network", auth.CreateRequest{OperatorID: id, Networks: []netip.Prefix{{}}}, waypost.Invalid, "networks"},
		{"everybody", auth.CreateRequest{OperatorID: id, Networks: prefixes("0.0.0.0/0")}, waypost.Invalid, "networks"},
		{"everybody in IPv6", auth.CreateRequest{OperatorID: id, Networks: prefixes("2000::/3")}, waypost.Invalid, "networks"},
		{"everybody in disguise", auth.CreateRequest{OperatorID: id, Networks: prefixes("::ffff:0.0.0.0/96")}, waypost.Invalid, "networks"},
		{"another's network", auth.CreateRequest{OperatorID: id, Networks: prefixes("10.0.0.0/8")}, waypost.Conflict, "networks"},
		{"unknown kind", auth.CreateRequest{OperatorID: id, DefaultKind: "spam"}, waypost.Invalid, "default_kind"},
		{"kind test", auth.CreateRequest{OperatorID: id, DefaultKind: "test"}, waypost.Invalid, "default_kind"},
		{"kind without its scope", auth.CreateRequest{OperatorID: id, DefaultKind: "security"}, waypost.Invalid, "default_kind"},
		{"unknown policy", auth.CreateRequest{OperatorID: id, FromPolicy: "maybe"}, waypost.Invalid, "from_policy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, _, err := w.Create(t.Context(), waypost.CommandLine(), tt.request)
			if e := waypost.AsError(err); e.Kind != tt.kind || e.Field != tt.field || key != "" {
				t.Errorf("Create = %q, %+v", key, e)
			}
		})
	}
}

func TestOnlyTheOwnerRevokes(t *testing.T) {
	w := newWorld(t)
	id, other := w.operator(t), w.operator(t)
	key, c := w.create(t, auth.CreateRequest{OperatorID: id})
	if err := w.Revoke(t.Context(), waypost.CommandLine(), other, c.ID); waypost.KindOf(err) != waypost.NotFound {
		t.Errorf("another operator: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), key); err != nil {
		t.Error(err)
	}
	if got := time.Since(c.Created); got < 0 {
		t.Errorf("created in the future: %v", got)
	}
}
