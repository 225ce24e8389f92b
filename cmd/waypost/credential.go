package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

type credentialCmd struct {
	Create credentialCreateCmd `cmd:"" help:"Create a credential and print its key, once."`
	List   credentialListCmd   `cmd:"" help:"List credentials."`
	Revoke credentialRevokeCmd `cmd:"" help:"Revoke a credential."`
}

type credentialCreateCmd struct {
	Operator   string         `xor:"owner" required:"" help:"Id of the operator it belongs to." placeholder:"ID"`
	Platform   bool           `xor:"owner" required:"" help:"The platform's own: names the operator per mail."`
	Name       string         `help:"What it is for."`
	Network    []netip.Prefix `help:"Networks whose clients may submit without AUTH or TLS." placeholder:"CIDR"`
	Scope      []string       `help:"Permissions; by default those of an ordinary sender." placeholder:"SCOPE"`
	Test       bool           `help:"Its mail always goes to the sandbox."`
	Kind       string         `help:"Kind of mail that says none." placeholder:"KIND"`
	FromPolicy string         `enum:"replace,refuse" default:"replace" help:"What happens to a From that is not a sender of the operator: replace or refuse."`
	JSON       bool           `help:"Print JSON."`
}

// Run creates a credential.
func (c credentialCreateCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		scopes := make([]waypost.Scope, len(c.Scope))
		for i, s := range c.Scope {
			scopes[i] = waypost.Scope(s)
		}
		key, cred, err := b.Auth.Create(e.ctx, waypost.CommandLine(), auth.CreateRequest{
			OperatorID: c.Operator, Platform: c.Platform, Name: c.Name, Networks: c.Network, Scopes: scopes,
			Test: c.Test, DefaultKind: waypost.Kind(c.Kind), FromPolicy: waypost.FromPolicy(c.FromPolicy),
		})
		if err != nil {
			return err
		}
		view := credentialOf(cred)
		view.Key = key
		return e.print(c.JSON, view, func(w io.Writer) { fmt.Fprintln(w, key) })
	})
}

// credentialView is a credential as commands print it; Key only right after creation.
type credentialView struct {
	ID         string   `json:"id"`
	Key        string   `json:"key,omitempty"`
	OperatorID string   `json:"operator_id,omitempty"`
	Platform   bool     `json:"platform"`
	Name       string   `json:"name,omitempty"`
	Hint       string   `json:"hint"`
	Networks   []string `json:"networks,omitempty"`
	Scopes     []string `json:"scopes"`
	Test       bool     `json:"test"`
	Created    string   `json:"created"`
	Revoked    string   `json:"revoked,omitempty"`
}

func credentialOf(c store.Credential) credentialView {
	v := credentialView{
		ID: c.ID, OperatorID: c.OperatorID, Platform: c.OperatorID == "", Name: c.Name, Hint: c.Hint, Test: c.Test,
		Created: instant(c.Created), Revoked: instant(c.Revoked),
	}
	for _, n := range c.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	for _, s := range c.Scopes {
		v.Scopes = append(v.Scopes, string(s))
	}
	return v
}

type credentialListCmd struct {
	Operator string `help:"Only those of one operator." placeholder:"ID"`
	JSON     bool   `help:"Print JSON."`
}

// Run lists credentials, without their keys.
func (c credentialListCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		list, err := b.System.AllCredentials(e.ctx, c.Operator)
		if err != nil {
			return err
		}
		views := []credentialView{}
		for _, cred := range list {
			views = append(views, credentialOf(cred))
		}
		return e.print(c.JSON, views, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tOWNER\tKEY\tNAME\tNETWORKS\tSTATE")
			for _, v := range views {
				owner, state := v.OperatorID, "live"
				if v.Platform {
					owner = "platform"
				}
				if v.Test {
					state = "test"
				}
				if v.Revoked != "" {
					state = "revoked " + v.Revoked
				}
				fmt.Fprintf(t, "%s\t%s\t%s...\t%s\t%s\t%s\n", v.ID, owner, v.Hint, dash(v.Name), dash(strings.Join(v.Networks, ",")), state)
			}
			_ = t.Flush()
		})
	})
}

type credentialRevokeCmd struct {
	ID string `required:"" help:"Id of the credential."`
}

// Run revokes a credential; it stops working within a second.
func (c credentialRevokeCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error { return b.Auth.Revoke(e.ctx, waypost.CommandLine(), "", c.ID) })
}
