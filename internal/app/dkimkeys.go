package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// selectors name the platform's two keys; the first signs until a rotation. In the DNS
// they are WAYPOST_DKIM_SELECTORS.
func selectors() []string { return []string{"wp1", "wp2"} }

// Keys are the platform's DKIM keys. Both are always published; one signs. They are read
// again when something has changed, while others sign.
type Keys struct {
	base   *Base
	engine *dkim.Engine
	from   string // domain of the default sender
	now    atomic.Pointer[keyring]
	mu     sync.Mutex // of those who read them: what was read last stays
}

// keyring is the keys as they were read.
type keyring struct {
	signs     dkim.Signer
	published []verify.Key
	opened    map[string]openedKey // by selector
}

type openedKey struct {
	sealed    []byte
	key       *dkim.Key
	published verify.Key
}

func dkimContext(selector string) string { return "dkim_key.key/" + selector }

// newKey makes a key and seals it.
func newKey(b *Base, selector string) ([]byte, error) {
	der, err := dkim.GenerateKey()
	if err != nil {
		return nil, err
	}
	return b.Ring.Seal(dkimContext(selector), der), nil
}

// openKeys reads the keys, making both at the first start.
func openKeys(ctx context.Context, b *Base) (*Keys, error) {
	stored, err := b.System.DKIMKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("DKIM keys: %w", err)
	}
	have, signs := map[string]bool{}, false
	for _, s := range stored {
		have[s.Selector], signs = true, signs || s.Signs
	}
	for i, selector := range selectors() { // a first start, or one that was cut short
		if have[selector] {
			continue
		}
		sealed, err := newKey(b, selector)
		if err != nil {
			return nil, fmt.Errorf("DKIM keys: %w", err)
		}
		err = b.System.AddDKIMKey(ctx, system.DKIMKey{Selector: selector, Sealed: sealed, Signs: i == 0 && !signs, Created: time.Now()})
		if err != nil && waypost.KindOf(err) != waypost.Conflict { // another process was quicker
			return nil, fmt.Errorf("DKIM keys: %w", err)
		}
	}
	k := &Keys{base: b, engine: dkim.OpenEngine()}
	if !b.Platform.Sandbox() {
		if k.from, err = dns.ToASCII(waypost.DomainOf(b.Platform.From.Email)); err != nil {
			return nil, fmt.Errorf("domain of the default sender: %w", err)
		}
	}
	k.now.Store(&keyring{})
	return k, k.reload(ctx)
}

// reload reads the keys again. After an error they are those that were.
func (k *Keys) reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	stored, err := k.base.System.DKIMKeys(ctx)
	if err != nil {
		return fmt.Errorf("DKIM keys: %w", err)
	}
	before, ring := k.now.Load(), &keyring{opened: map[string]openedKey{}}
	for _, s := range stored {
		number, err := strconv.Atoi(strings.TrimPrefix(s.Selector, "wp"))
		if err != nil {
			return fmt.Errorf("DKIM key %s: unknown selector", s.Selector)
		}
		opened := before.opened[s.Selector]
		if !bytes.Equal(opened.sealed, s.Sealed) { // else the one at hand: signatures are remembered by key
			if opened, err = k.open(s); err != nil {
				return err
			}
			opened.published = verify.Key{Number: number, Selector: k.label(number), Record: opened.key.Record()}
		}
		ring.opened[s.Selector] = opened
		ring.published = append(ring.published, opened.published)
		if s.Signs {
			ring.signs = dkim.Signer{Domain: k.from, Selector: opened.published.Selector, Key: opened.key}
		}
	}
	k.now.Store(ring)
	return nil
}

// label is the selector that a key has in the DNS.
func (k *Keys) label(number int) string {
	c := k.base.Config
	if !c.UpstreamSigns && number >= 1 && number <= len(c.DKIMSelectors) { // else those are the upstream's
		return c.DKIMSelectors[number-1]
	}
	return "wp" + strconv.Itoa(number)
}

func (k *Keys) open(s system.DKIMKey) (openedKey, error) {
	der, err := k.base.Ring.Open(dkimContext(s.Selector), s.Sealed)
	if err != nil {
		return openedKey{}, fmt.Errorf("DKIM key %s: %w", s.Selector, err)
	}
	key, err := dkim.ParseKey(der, k.engine)
	if err != nil {
		return openedKey{}, fmt.Errorf("DKIM key %s: %w", s.Selector, err)
	}
	return openedKey{sealed: s.Sealed, key: key}, nil
}

// changed is called when something has changed.
func (k *Keys) changed(ctx context.Context) {
	before := k.Signing()
	if err := k.reload(ctx); err != nil {
		if ctx.Err() == nil {
			k.base.Log.Error("cannot read the DKIM keys again; those at hand go on", "error", err)
		}
		return
	}
	if now := k.Signing(); now != before {
		k.base.Log.Info("another DKIM key signs", "selector", now, "before", before)
	}
}

// errNoKey says that mail of a domain cannot be signed.
var errNoKey = errors.New("no DKIM key signs for this domain")

// Signer returns what signs for a domain: one key for all, since the domains of
// operators point to it. Which domains mail may leave from is decided by route.From.
func (k *Keys) Signer(_ context.Context, domain string) (dkim.Signer, error) {
	signer := k.now.Load().signs
	if signer.Key == nil {
		return dkim.Signer{}, fmt.Errorf("%w: %s", errNoKey, domain)
	}
	signer.Domain = domain
	return signer, nil
}

// Signing is the selector of the key that signs.
func (k *Keys) Signing() string { return k.now.Load().signs.Selector }

// Published lists the keys as they are to be published.
func (k *Keys) Published() []verify.Key { return k.now.Load().published }

// Engine names what computes the signatures, and why it is not the faster one.
func (k *Keys) Engine() (name, reason string) { return k.engine.Name(), k.engine.Reason() }
