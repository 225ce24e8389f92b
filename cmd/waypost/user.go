package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/auth"
	"github.com/waypost/waypost/internal/waypost"
)

type userCmd struct {
	Create userCreateCmd `cmd:"" help:"Create a user with a password."`
	List   userListCmd   `cmd:"" help:"List users."`
	Reset  userResetCmd  `cmd:"" help:"Print a link that sets another password, once and within an hour."`
}

type userCreateCmd struct {
	Operator     string `xor:"side" required:"" help:"Id of the operator the user belongs to." placeholder:"ID"`
	Platform     bool   `xor:"side" required:"" help:"Staff of the platform."`
	Login        string `required:"" help:"What the user signs in with; an e-mail address has to be the user's own."`
	Role         string `required:"" enum:"owner,support,auditor,admin,viewer" help:"Of the platform's staff: owner, support or auditor. Of an operator: admin or viewer."`
	Email        string `help:"Address for links to set the password. Default: the login, if that is one." placeholder:"MAIL"`
	Name         string `help:"Name of the person."`
	PasswordFile string `required:"" type:"path" help:"File with the password, in one line." placeholder:"FILE"`
	JSON         bool   `help:"Print JSON."`
}

// Run creates a user and prints its id.
func (c userCreateCmd) Run(e *environment) error {
	password, err := readPassword(c.PasswordFile)
	if err != nil {
		return err
	}
	return e.base(func(b *app.Base) error {
		u, err := b.NewUsers().Create(e.ctx, waypost.CommandLine(), auth.NewUser{
			OperatorID: c.Operator, Login: c.Login, Email: c.Email, Name: c.Name, Role: waypost.Role(c.Role),
		}, password)
		if err != nil {
			return err
		}
		return e.print(c.JSON, userOf(u), func(w io.Writer) { fmt.Fprintln(w, u.ID) })
	})
}

// maxPasswordFile is far more than a password takes.
const maxPasswordFile = 4096

// readPassword reads a file of one line. The end of the line is no part of it.
func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPasswordFile+1))
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if len(text) > maxPasswordFile || strings.ContainsAny(password, "\r\n") {
		return "", errors.New("password file: more than one line")
	}
	return password, nil
}

// userView is a user as commands print it.
type userView struct {
	ID         string `json:"id"`
	Login      string `json:"login"`
	OperatorID string `json:"operator_id,omitempty"`
	Platform   bool   `json:"platform"`
	Role       string `json:"role"`
	Email      string `json:"email,omitempty"`
	Name       string `json:"name,omitempty"`
	TOTP       bool   `json:"totp"`
	State      string `json:"state"`
	Created    string `json:"created"`
	LastLogin  string `json:"last_login,omitempty"`
}

func userOf(u waypost.User) userView {
	v := userView{
		ID: u.ID, Login: u.Login, OperatorID: u.OperatorID, Platform: u.OperatorID == "", Role: string(u.Role), Email: u.Email,
		Name: u.Name, TOTP: u.TOTP, State: "active", Created: instant(u.Created), LastLogin: instant(u.LastLogin),
	}
	switch {
	case u.Disabled:
		v.State = "disabled"
	case !u.Active:
		v.State = "invited"
	}
	return v
}

type userListCmd struct {
	Operator string `xor:"side" help:"Only those of one operator." placeholder:"ID"`
	Platform bool   `xor:"side" help:"Only the platform's staff."`
	JSON     bool   `help:"Print JSON."`
}

// Run lists users.
func (c userListCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		users := b.NewUsers()
		list := users.ListAll
		if c.Platform || c.Operator != "" {
			list = func(ctx context.Context, cursor string, limit int) ([]waypost.User, error) {
				return users.List(ctx, c.Operator, cursor, limit)
			}
		}
		views := []userView{}
		cursor := ""
		for {
			page, err := list(e.ctx, cursor, pageSize)
			if err != nil {
				return err
			}
			for _, u := range page {
				views = append(views, userOf(u))
			}
			if len(page) < pageSize {
				break
			}
			cursor = page[len(page)-1].ID
		}
		return e.print(c.JSON, views, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tLOGIN\tSIDE\tROLE\tNAME\tSTATE\tLAST SIGN-IN")
			for _, v := range views {
				side := v.OperatorID
				if v.Platform {
					side = "platform"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Login, side, v.Role, dash(v.Name), v.State, dash(v.LastLogin))
			}
			_ = t.Flush()
		})
	})
}

type userResetCmd struct {
	Login string `required:"" help:"Login of the user."`
	JSON  bool   `help:"Print JSON."`
}

// resetView is a link as commands print it.
type resetView struct {
	Login   string `json:"login"`
	Link    string `json:"link"`
	Path    string `json:"path"`
	Expires string `json:"expires"`
}

// Run prints a link that whoever has it can set the user's password with.
func (c userResetCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		users := b.NewUsers()
		u, err := users.ByLogin(e.ctx, c.Login)
		if err != nil {
			return err
		}
		issued, err := users.IssueReset(e.ctx, waypost.CommandLine(), u.OperatorID, u.ID)
		if err != nil {
			return err
		}
		path := auth.PathReset + issued.Token.Reveal()
		view := resetView{Login: u.Login, Link: b.Link(path), Path: path, Expires: instant(issued.Expires)}
		return e.print(c.JSON, view, func(w io.Writer) { fmt.Fprintln(w, view.Link) })
	})
}
