package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

const (
	longestLife   = 30 * 24 * time.Hour // of a mail in the queue
	rotationTaken = time.Minute         // until another node looks after the keys, if this one dies
	lookTimeout   = 45 * time.Second
)

func rotationRules() verify.RotationRules {
	return verify.RotationRules{
		Keep:    longestLife + 7*24*time.Hour, // and a week, in which receivers look again
		Propose: 180 * 24 * time.Hour,
	}
}

// Records lists what the platform's owner has to publish.
func (b *Base) Records() ([]verify.Record, error) {
	p, err := b.ownPlatform()
	if err != nil {
		return nil, err
	}
	return verify.Records(p), nil
}

func (b *Base) ownPlatform() (verify.Platform, error) {
	if b.Platform.Sandbox() {
		return verify.Platform{}, waypost.NewError(waypost.Conflict, "sandbox",
			"no platform domain is set (WAYPOST_PLATFORM_DOMAIN): the built-in gateway is a sandbox and needs no DNS")
	}
	return verify.Platform{
		Domain: b.Platform.Domain, From: b.Keys.from, Hostname: b.Config.Hostname,
		Addresses: b.Config.SendingAddresses, Keys: b.Keys.Published(),
	}, nil
}

// platformChecker makes what looks at the platform's records now.
func (b *Base) platformChecker() (*verify.PlatformChecker, error) {
	p, err := b.ownPlatform()
	if err != nil {
		return nil, err
	}
	// Without a cache of our own: the question is what receivers' resolvers have. The name
	// servers are the owner's choice, so they may be on this machine or in its network.
	resolver, err := dns.New(dns.Options{Server: b.Config.DNSResolver, CacheBytes: -1})
	if err != nil {
		return nil, fmt.Errorf("resolver: %w", err)
	}
	authority := dns.NewAuthority(dns.AuthorityOptions{Resolver: resolver, Port: b.Config.DNSPort})
	return &verify.PlatformChecker{
		Platform: p, Replies: takesReplies(b.Platform.From),
		Source: func() verify.Source { return authority.Session() }, Caches: resolver,
	}, nil
}

// takesReplies reports whether an address does not say that nobody reads it.
func takesReplies(a waypost.Address) bool {
	local, _, _ := strings.Cut(strings.ToLower(a.Email), "@")
	local = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, local)
	return local != "noreply" && local != "donotreply"
}

// CheckPlatform looks at the platform's records.
func (b *Base) CheckPlatform(ctx context.Context) (verify.Report, error) {
	checker, err := b.platformChecker()
	if err != nil {
		return verify.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return checker.Check(ctx, time.Now()), nil
}

// KeyRotation tells which key signs and how far a rotation is.
func (b *Base) KeyRotation(ctx context.Context) (verify.RotationStatus, error) {
	stored, err := b.System.DKIMKeys(ctx)
	if err != nil {
		return verify.RotationStatus{}, err
	}
	signing, other, err := pair(stored)
	if err != nil {
		return verify.RotationStatus{}, err
	}
	return verify.StatusOf(b.remembered(signing), b.remembered(other), rotationRules()), nil
}

// RotateKeys asks for a rotation: the other key signs as soon as its record has been seen
// everywhere for long enough. Asking again makes the server look again at once. The error
// is Conflict if there can be none.
func (b *Base) RotateKeys(ctx context.Context, by waypost.Actor) (verify.RotationStatus, error) {
	if _, err := b.ownPlatform(); err != nil {
		return verify.RotationStatus{}, err
	}
	if b.Config.UpstreamSigns {
		return verify.RotationStatus{}, waypost.NewError(waypost.Conflict, "upstream_signs",
			"the upstream relay signs (WAYPOST_UPSTREAM_SIGNS), so its provider rotates the keys")
	}
	status, err := b.KeyRotation(ctx)
	if err != nil {
		return status, err
	}
	if status.State == verify.RotationKeeping {
		return status, waypost.NewError(waypost.Conflict, "key_kept", fmt.Sprintf(
			"the key %s signed until %s and stays as it is until %s, for mail that is still on its way; then it is replaced, and the next rotation is possible",
			status.Other.Selector, status.Other.Retired.Format(time.DateOnly), status.Until.Format(time.DateOnly)))
	}
	stored, err := b.System.DKIMKeys(ctx)
	if err != nil {
		return status, err
	}
	_, other, err := pair(stored)
	if err != nil {
		return status, err
	}
	if err := b.System.WantDKIMKey(ctx, by, other.Selector, time.Now()); err != nil {
		return status, err
	}
	return b.KeyRotation(ctx)
}

// pair tells the keys apart.
func pair(stored []system.DKIMKey) (signing, other system.DKIMKey, err error) {
	i := slices.IndexFunc(stored, func(k system.DKIMKey) bool { return k.Signs })
	if i < 0 || len(stored) != 2 {
		return signing, other, errors.New("DKIM keys: want two, of which one signs")
	}
	return stored[i], stored[1-i], nil
}

// remembered is a key with the selector it has in the DNS.
func (b *Base) remembered(k system.DKIMKey) verify.RotationKey {
	label := k.Selector
	if opened, ok := b.Keys.now.Load().opened[k.Selector]; ok {
		label = opened.published.Selector
	}
	return verify.RotationKey{
		Selector: label, Created: k.Created, Started: k.Started, Proposed: k.Proposed, Wanted: k.Wanted,
		Seen: k.Seen, Cached: k.Cached, TTL: k.TTL, Retired: k.Retired, Announced: k.Announced,
	}
}

// rotation looks after the keys.
type rotation struct {
	app     *App
	notices *notices
}

// tick is a loop's step: one node does what is due.
func (r *rotation) tick(ctx context.Context) {
	now := time.Now()
	until := now.Add(rotationTaken)
	ours, err := r.app.System.TakeChore(ctx, system.RotationChore, r.app.Queue.Incarnation(), now, until)
	if err == nil && ours {
		var next time.Time
		if next, err = r.step(ctx); err == nil {
			err = r.app.System.MoveChore(ctx, system.RotationChore, until, next)
		}
	}
	switch {
	case err == nil || ctx.Err() != nil:
	case waypost.KindOf(err) == waypost.Conflict: // somebody changed the keys meanwhile
		r.app.Log.Debug("the keys changed while they were looked at", "error", err)
	default:
		r.app.Log.Error("cannot look after the DKIM keys", "error", err)
	}
}

// step looks at the keys once, does what follows, and returns when to look again.
func (r *rotation) step(ctx context.Context) (time.Time, error) {
	a := r.app
	if err := a.Keys.reload(ctx); err != nil {
		return time.Time{}, err
	}
	stored, err := a.System.DKIMKeys(ctx)
	if err != nil {
		return time.Time{}, err
	}
	signing, other, err := pair(stored)
	if err != nil {
		return time.Time{}, err
	}
	opened := a.Keys.now.Load().opened[other.Selector]
	if !bytes.Equal(opened.sealed, other.Sealed) {
		return time.Now(), nil // replaced in between
	}
	sight := verify.Sight{Authoritative: verify.Unknown, Recursive: verify.Unknown}
	if other.Retired.IsZero() {
		checker, err := a.platformChecker()
		if err != nil {
			return time.Time{}, err
		}
		look, cancel := context.WithTimeout(ctx, lookTimeout)
		sight = checker.Look(look, opened.published)
		cancel()
	}
	if ctx.Err() != nil {
		return time.Time{}, ctx.Err()
	}
	now := time.Now()
	step := verify.JudgeRotation(a.remembered(signing), a.remembered(other), sight, rotationRules(), now)
	switch {
	case step.Replace:
		sealed, err := newKey(a.Base, other.Selector)
		if err != nil {
			return time.Time{}, err
		}
		a.Log.Info("a DKIM key was kept long enough and is replaced", "selector", step.Other.Selector)
		return step.Next, a.System.ReplaceDKIMKey(ctx, other, sealed, now)
	case step.Switch:
		a.Log.Info("a DKIM key begins to sign", "selector", step.Other.Selector, "before", step.Signing.Selector)
		return step.Next, a.System.SwitchDKIMKey(ctx, other, now)
	}
	r.tell(ctx, &step, opened.published)
	return step.Next, errors.Join(r.note(ctx, signing, step.Signing), r.note(ctx, other, step.Other))
}

// note saves what changed in what is remembered of a key.
func (r *rotation) note(ctx context.Context, k system.DKIMKey, now verify.RotationKey) error {
	if r.app.remembered(k) == now {
		return nil
	}
	k.Proposed, k.Seen, k.Cached, k.TTL, k.Announced = now.Proposed, now.Seen, now.Cached, now.TTL, now.Announced
	return r.app.System.NoteDKIMKey(ctx, k)
}

// tell sends the notices of a step. What could not be sent is sent at the next.
func (r *rotation) tell(ctx context.Context, step *verify.RotationStep, key verify.Key) {
	if !step.Announce && !step.Propose {
		return
	}
	records := verify.KeyRecords(verify.Platform{Domain: r.app.Platform.Domain, From: r.app.Keys.from}, key)
	line := records[0].ZoneLine()
	owner, err := r.app.Directory.Get(ctx, waypost.PlatformOperatorID)
	if err == nil && step.Announce {
		r.app.Log.Info("a new DKIM key has to be published", "name", records[0].Name)
		err = r.notices.submit(owner, fmt.Sprintf("key-%s-%d", key.Selector, step.Other.Created.UnixMilli()),
			"Publish a new DKIM key: "+records[0].Name, fmt.Sprintf(
				"Hello,\r\n\r\n"+
					"the key %s signed the platform's mail until some weeks ago. No mail that it signed is on its way any\r\n"+
					"more, so a new one has taken its place for the next rotation. Replace the TXT record by this one:\r\n\r\n"+
					"    %s\r\n\r\n"+
					"Nothing else changes: operators' domains point to this name, and mail is signed with the other key until\r\n"+
					"you ask for a rotation. `waypost platform dns --check` shows whether the record is seen.\r\n",
				key.Selector, line))
		if err != nil {
			step.Other.Announced = time.Time{}
		}
	}
	if err == nil && step.Propose {
		r.app.Log.Info("it is time to rotate the DKIM keys", "selector", step.Signing.Selector)
		err = r.notices.submit(owner, fmt.Sprintf("rotate-%s-%d", step.Signing.Selector, step.Signing.Started.UnixMilli()),
			"It is time to rotate the DKIM keys", fmt.Sprintf(
				"Hello,\r\n\r\n"+
					"the key %s has signed the platform's mail since %s. Keys should not be used for much longer than half a\r\n"+
					"year. To sign with the other key, %s, run\r\n\r\n"+
					"    waypost platform dkim rotate\r\n\r\n"+
					"It is used as soon as this record has been seen everywhere; publish it if you have not:\r\n\r\n"+
					"    %s\r\n\r\n"+
					"Operators have nothing to do.\r\n",
				step.Signing.Selector, step.Signing.Started.Format(time.DateOnly), key.Selector, line))
	}
	if err != nil {
		step.Signing.Proposed = time.Time{}
		r.app.Log.Error("cannot tell the owner about the DKIM keys", "error", err)
	}
}
