package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/reputation"
	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// EmailSettings reads an operator's e-mail settings, past every cache. The error is
// NotFound if there is no such operator.
func (s *Service) EmailSettings(ctx context.Context, operatorID string) (Settings, error) {
	snap, err := s.o.Directory.read(ctx, operatorID)
	if err != nil {
		return Settings{}, err
	}
	allowed, err := s.o.Store.Allowed(ctx, snap.account.Product)
	if err != nil {
		return Settings{}, fmt.Errorf("read entitlement: %w", err)
	}
	return s.show(snap, allowed), nil
}

// SaveEmail saves gateway, own server, default sender, Reply-To and signature, all or
// nothing, and returns the settings as they are then. The error is Forbidden, code
// "gateway_not_allowed", for a gateway that the product does not include, and Problems
// for wrong fields: among them "gateway.auth.password", when the password has to be
// typed again. It is Conflict, code "queue_too_long", if more mail waits than the built-in
// gateway takes from the operator in a day.
func (s *Service) SaveEmail(ctx context.Context, by waypost.Actor, operatorID string, u Update) (Settings, error) {
	snap, err := s.o.Directory.read(ctx, operatorID)
	if err != nil {
		return Settings{}, err
	}
	p, err := s.plan(ctx, snap, u)
	if err != nil {
		return Settings{}, err
	}
	save := store.EmailSettings{
		Gateway: p.gateway, DefaultSender: p.sender, ReplyTo: p.replyTo, Signature: p.signature,
	}
	if p.relay != nil {
		// A reused password keeps its sealed form, so that settings saved as they were
		// change nothing. Server and secret were read together and are written
		// together: whoever saves meanwhile cannot join one with the other's.
		sealed := p.reused
		if sealed == nil {
			sealed = seal(s.o.Ring, operatorID, p.relay.Password)
		}
		relay := *p.relay
		relay.Password = ""
		save.Relay = &store.StoredRelay{Relay: relay, Sealed: sealed, Updated: time.Now()}
	}
	if p.gateway == waypost.GatewayBuiltin && snap.account.Gateway != p.gateway {
		if save.Room, err = s.room(ctx, snap.account, time.Now()); err != nil {
			return Settings{}, err
		}
	}
	defer s.o.Directory.forget(operatorID)
	if err := s.o.Store.SaveEmailSettings(ctx, by, operatorID, save); err != nil {
		return Settings{}, fmt.Errorf("save e-mail settings: %w", err)
	}
	return s.EmailSettings(ctx, operatorID)
}

// room is how many more recipients an operator may have on the built-in gateway today; nil
// for any number.
func (s *Service) room(ctx context.Context, a *waypost.Account, now time.Time) (*int64, error) {
	limit := int64(reputation.Limit(a.Guard, a.Operator, a.Reputation, now))
	if limit == 0 || s.o.Platform.Sandbox() {
		return nil, nil //nolint:nilnil // nothing is counted
	}
	used, err := s.o.Store.BuiltinAccepted(ctx, a.ID, now.Add(-24*time.Hour))
	if err != nil {
		return nil, err
	}
	room := max(0, limit-used)
	return &room, nil
}

// Preview returns the account as it would be with these settings, for a test mail.
// Nothing is saved; the errors are those of SaveEmail.
func (s *Service) Preview(ctx context.Context, operatorID string, u Update) (*waypost.Account, error) {
	snap, err := s.o.Directory.read(ctx, operatorID)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, snap, u)
	if err != nil {
		return nil, err
	}
	if p.relay == nil && p.gateway == waypost.GatewaySMTP && snap.locked {
		return nil, Problems{waypost.FieldError("gateway.auth.password", reasonLocked+": type it again")}
	}
	a := *snap.account
	a.Gateway, a.ReplyTo, a.Signature = p.gateway, p.replyTo, p.signature
	a.Withdrawn = false                   // the plan has asked the product
	a.RelayHealth = waypost.RelayHealth{} // a failing relay is what one tests
	if p.relay != nil {
		a.Relay = p.relay
	}
	if p.sender != nil {
		a.Senders = withDefault(a.Senders, *p.sender)
	}
	return &a, nil
}

// withDefault returns senders with one of them, or a new one, as the default.
func withDefault(senders []waypost.Sender, sender waypost.Sender) []waypost.Sender {
	out, found := slices.Clone(senders), false
	for i := range out {
		out[i].Default = waypost.NormalizeAddress(out[i].Address) == sender.Address
		if out[i].Default {
			out[i].Name, found = sender.Name, true
		}
	}
	if !found {
		out = append(out, sender)
	}
	return out
}

// plan is a checked update.
type plan struct {
	gateway   waypost.GatewayType
	relay     *waypost.Relay  // with its password; nil: the saved one stays
	reused    []byte          // the sealed password, if it is the saved one
	sender    *waypost.Sender // nil: the default stays
	replyTo   string
	signature waypost.Signature
}

func (s *Service) plan(ctx context.Context, snap *snapshot, u Update) (*plan, error) {
	p := &plan{}
	if u.Gateway != nil {
		allowed, err := s.o.Store.Allowed(ctx, snap.account.Product)
		if err != nil {
			return nil, fmt.Errorf("read entitlement: %w", err)
		}
		p.gateway = u.Gateway.Type
		if known(p.gateway) && !allowed[p.gateway] {
			return nil, &waypost.Error{
				Kind: waypost.Forbidden, Code: "gateway_not_allowed", Field: "gateway.type",
				Message: fmt.Sprintf("the product %s does not include the gateway %s", snap.account.Product, p.gateway),
			}
		}
	}
	if snap.account.ID == waypost.PlatformOperatorID && p.gateway == waypost.GatewaySMTP {
		// Whoever had the server would read the links with which people choose new passwords.
		return nil, &waypost.Error{
			Kind: waypost.Forbidden, Code: "platform_gateway", Field: "gateway.type",
			Message: "the platform's own mail leaves through the built-in gateway; WAYPOST_UPSTREAM_URL has it relayed",
		}
	}
	var problems Problems
	if u.Gateway != nil {
		s.checkGateway(&problems, p, snap, u.Gateway)
	}
	p.sender = checkFrom(&problems, u.From, snap.account.ID)
	if p.sender != nil {
		if p.sender.State = s.initialState(snap.account, p.sender.Address); p.sender.State == waypost.SenderAssigned {
			p.sender.Decided = time.Now()
		}
	}
	gateway := p.gateway
	if u.Gateway == nil {
		gateway = snap.account.Gateway
	}
	if p.sender != nil && gateway == waypost.GatewaySMTP && s.o.Platform.Owns(p.sender.Address) {
		problems.add("from", "addresses of the platform do not leave through an operator's own server")
	}
	p.replyTo = checkReplyTo(&problems, u.ReplyTo)
	p.signature = waypost.Signature{Text: u.Signature.Text, HTML: u.Signature.HTML}
	checkSignature(&problems, "signature.text", p.signature.Text)
	checkSignature(&problems, "signature.html", p.signature.HTML)
	return p, problems.err()
}

func (s *Service) checkGateway(problems *Problems, p *plan, snap *snapshot, g *GatewayUpdate) {
	switch {
	case !known(g.Type):
		problems.add("gateway.type", "choose builtin or smtp")
	case g.Type == waypost.GatewayBuiltin:
		if g.Host != "" || g.Auth != nil {
			problems.add("gateway.type", "the built-in gateway has no server settings")
		}
	case *g == (GatewayUpdate{Type: waypost.GatewaySMTP}) && snap.stored != nil:
		// The saved server as it is.
	default:
		p.relay = s.checkServer(problems, g)
		if g.Auth != nil {
			checkLogin(problems, p, snap, g.Auth)
		}
	}
}

// checkLogin decides about the password: typed, reused or missing.
func checkLogin(problems *Problems, p *plan, snap *snapshot, auth *AuthUpdate) {
	const field = "gateway.auth.password"
	checkUsername(problems, auth.Username)
	p.relay.Username = auth.Username
	if auth.Password != "" {
		checkPassword(problems, auth.Password)
		p.relay.Password = auth.Password
		return
	}
	switch stored := snap.stored; {
	case stored == nil || len(stored.Sealed) == 0:
		problems.add(field, "the password is missing")
	case !stored.SameServer(*p.relay):
		// Else who may save settings, but does not know the password, could have it
		// sent to a server of their own (promise 7 of the design).
		problems.add(field, "type the password again: it is kept only while host, port, user name and trust_all stay and security is not lowered")
	case snap.locked:
		problems.add(field, reasonLocked+": type it again")
	default:
		p.relay.Password, p.reused = snap.account.Relay.Password, stored.Sealed
	}
}

// show makes the answer of what is saved.
func (s *Service) show(snap *snapshot, allowed map[waypost.GatewayType]bool) Settings {
	a := snap.account
	out := Settings{
		ReplyTo:   a.ReplyTo,
		Signature: Signature{Text: a.Signature.Text, HTML: a.Signature.HTML},
		ReadOnly:  ReadOnly{Allowed: []waypost.GatewayType{}, Warnings: []string{}},
	}
	for _, g := range []waypost.GatewayType{waypost.GatewayBuiltin, waypost.GatewaySMTP} {
		if allowed[g] {
			out.Allowed = append(out.Allowed, g)
		}
	}
	if d, ok := a.DefaultSender(); ok {
		out.From = Mailbox(waypost.Address{Name: d.Name, Email: d.Address})
	}
	if r := snap.stored; r != nil {
		out.SMTP = &Gateway{
			Type: waypost.GatewaySMTP, Host: r.Host, Port: r.Port, Security: r.Security, TrustAll: r.TrustAll,
		}
		if r.Username != "" {
			out.SMTP.Auth = &Login{Username: r.Username, PasswordSet: len(r.Sealed) > 0}
		}
	}
	switch a.Gateway {
	case waypost.GatewayBuiltin:
		out.Gateway = &Gateway{Type: waypost.GatewayBuiltin}
	case waypost.GatewaySMTP:
		out.Gateway = out.SMTP
		if h := a.RelayHealth; h.Failing() {
			out.RelayHealth = &RelayHealth{FailingSince: h.FailingSince, Reason: h.Reason, NextProbe: h.NextProbe}
		}
	}
	out.Warnings = append(out.Warnings, warnings(snap, out.Gateway)...)
	out.FromInUse = s.fromInUse(a)
	return out
}

func warnings(snap *snapshot, g *Gateway) []string {
	if g == nil {
		return []string{"No gateway is chosen: mail is refused."}
	}
	var out []string
	if g.Type == waypost.GatewaySMTP {
		if g.TrustAll && g.Security != waypost.SecurityNone {
			out = append(out, "Any certificate is accepted: whoever can redirect the connection can read mail and password.")
		}
		if g.Security == waypost.SecurityNone && g.Auth != nil {
			out = append(out, "User name and password cross the network unencrypted.")
		}
		if snap.locked {
			out = append(out, "Mail waits: "+reasonLocked+". Type it again.")
		}
	}
	return out
}

// fromInUse tells what a mail from the default sender leaves with.
func (s *Service) fromInUse(a *waypost.Account) *FromInUse {
	d, ok := a.DefaultSender()
	submitted := waypost.Address{Name: d.Name, Email: d.Address}
	kind := waypost.RouteDirect
	switch a.Gateway {
	case waypost.GatewaySMTP:
		kind = waypost.RouteRelay
		if !ok {
			return &FromInUse{Reason: "there is no default sender: every mail keeps its own From"}
		}
	case waypost.GatewayBuiltin:
	default:
		return &FromInUse{Reason: "no gateway is chosen"}
	}
	chosen := route.From(s.o.Platform, a, kind, submitted)
	if !ok && chosen.Address.Email == "" {
		return &FromInUse{Reason: "there is no default sender"}
	}
	if !ok {
		chosen.Why = "there is no default sender"
	}
	return &FromInUse{Address: chosen.Address.Email, Name: chosen.Address.Name, Reason: chosen.Why}
}
