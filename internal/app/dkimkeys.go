package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dkim"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

// selectors are those of the platform's two keys; the first signs until a rotation.
func selectors() []string { return []string{"wp1", "wp2"} }

// Keys are the platform's DKIM keys. Both are always published; one signs.
type Keys struct {
	engine    *dkim.Engine
	from      string // domain of the default sender
	signs     dkim.Signer
	published []verify.Key
}

func dkimContext(selector string) string { return "dkim_key.key/" + selector }

// openKeys reads the keys, making both at the first start.
func openKeys(ctx context.Context, b *Base) (*Keys, error) {
	stored, err := b.System.DKIMKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("DKIM keys: %w", err)
	}
	have := map[string]bool{}
	for _, s := range stored {
		have[s.Selector] = true
	}
	if len(have) < len(selectors()) { // a first start, or one that was cut short
		for i, selector := range selectors() {
			if have[selector] {
				continue
			}
			der, err := dkim.GenerateKey()
			if err != nil {
				return nil, fmt.Errorf("DKIM keys: %w", err)
			}
			err = b.System.AddDKIMKey(ctx, system.DKIMKey{
				Selector: selector, Sealed: b.Ring.Seal(dkimContext(selector), der), Signs: i == 0, Created: time.Now(),
			})
			if err != nil && waypost.KindOf(err) != waypost.Conflict { // another process was quicker
				return nil, fmt.Errorf("DKIM keys: %w", err)
			}
		}
		if stored, err = b.System.DKIMKeys(ctx); err != nil {
			return nil, fmt.Errorf("DKIM keys: %w", err)
		}
	}
	k := &Keys{engine: dkim.OpenEngine()}
	if !b.Platform.Sandbox() {
		if k.from, err = dns.ToASCII(waypost.DomainOf(b.Platform.From.Email)); err != nil {
			return nil, fmt.Errorf("domain of the default sender: %w", err)
		}
	}
	for _, s := range stored {
		der, err := b.Ring.Open(dkimContext(s.Selector), s.Sealed)
		if err != nil {
			return nil, fmt.Errorf("DKIM key %s: %w", s.Selector, err)
		}
		key, err := dkim.ParseKey(der, k.engine)
		if err != nil {
			return nil, fmt.Errorf("DKIM key %s: %w", s.Selector, err)
		}
		number, err := strconv.Atoi(strings.TrimPrefix(s.Selector, "wp"))
		if err != nil {
			return nil, fmt.Errorf("DKIM key %s: unknown selector", s.Selector)
		}
		k.published = append(k.published, verify.Key{Number: number, Selector: s.Selector, Record: key.Record()})
		if s.Signs {
			k.signs = dkim.Signer{Domain: k.from, Selector: s.Selector, Key: key}
		}
	}
	return k, nil
}

// errNoKey says that mail of a domain cannot be signed.
var errNoKey = errors.New("no DKIM key signs for this domain")

// Signer returns what signs for a domain: one key for all, since the domains of
// operators point to it. Which domains mail may leave from is decided by route.From.
func (k *Keys) Signer(_ context.Context, domain string) (dkim.Signer, error) {
	if k.signs.Key == nil {
		return dkim.Signer{}, fmt.Errorf("%w: %s", errNoKey, domain)
	}
	signer := k.signs
	signer.Domain = domain
	return signer, nil
}

// Signing is the selector of the key that signs.
func (k *Keys) Signing() string { return k.signs.Selector }

// Published lists the keys as they are to be published.
func (k *Keys) Published() []verify.Key { return k.published }

// Engine names what computes the signatures, and why it is not the faster one.
func (k *Keys) Engine() (name, reason string) { return k.engine.Name(), k.engine.Reason() }

// Records lists what the platform's owner has to publish.
func (b *Base) Records() ([]verify.Record, error) {
	if b.Platform.Sandbox() {
		return nil, errors.New("no platform domain is set (WAYPOST_PLATFORM_DOMAIN): the built-in gateway is a sandbox and needs no DNS")
	}
	return verify.Records(verify.Platform{
		Domain: b.Platform.Domain, From: b.Keys.from, Hostname: b.Config.Hostname,
		Addresses: b.Config.SendingAddresses, Keys: b.Keys.published,
	}), nil
}
