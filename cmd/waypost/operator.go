package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/waypost/waypost/internal/account"
	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/waypost"
)

type operatorCmd struct {
	Create  operatorCreateCmd  `cmd:"" help:"Create an operator."`
	List    operatorListCmd    `cmd:"" help:"List operators."`
	Suspend operatorSuspendCmd `cmd:"" help:"Stop an operator's mail, except account security mail."`
	Resume  operatorResumeCmd  `cmd:"" help:"Let a suspended operator's mail go again."`
	Delete  operatorDeleteCmd  `cmd:"" help:"Delete an operator and all it has but counters and the audit log."`
}

type operatorCreateCmd struct {
	Name    string `required:"" help:"Name, also shown as sender name where the platform's address stands in."`
	Product string `required:"" enum:"servermate,cloud,on_premise" help:"What the operator bought: servermate, cloud or on_premise."`
	Contact string `help:"Address for notices." placeholder:"MAIL"`
	Parent  string `help:"Id of the parent operator." placeholder:"ID"`
	PerDay  int    `help:"Recipients a day on the built-in gateway; 0 for as many as age and record allow." placeholder:"N"`
	Trusted bool   `help:"No such limit, and nothing worse than a warning by the guard of the built-in gateway."`
	JSON    bool   `help:"Print JSON."`
}

// Run creates an operator and prints its id.
func (c operatorCreateCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		op, err := b.Accounts.CreateOperator(e.ctx, waypost.CommandLine(), account.NewOperator{
			Name: c.Name, Product: waypost.Product(c.Product), Contact: c.Contact, ParentID: c.Parent,
			PerDay: c.PerDay, Trusted: c.Trusted,
		})
		if err != nil {
			return err
		}
		return e.print(c.JSON, operatorOf(op), func(w io.Writer) { fmt.Fprintln(w, op.ID) })
	})
}

// operatorView is an operator as commands print it.
type operatorView struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Product   string `json:"product"`
	Gateway   string `json:"gateway"`
	Contact   string `json:"contact,omitempty"`
	ParentID  string `json:"parent_id,omitempty"`
	Suspended bool   `json:"suspended"`
	Created   string `json:"created"`
}

func operatorOf(o waypost.Operator) operatorView {
	return operatorView{
		ID: o.ID, Name: o.Name, Product: string(o.Product), Gateway: string(o.Gateway), Contact: o.Contact,
		ParentID: o.ParentID, Suspended: o.Suspended, Created: instant(o.Created),
	}
}

type operatorListCmd struct {
	JSON bool `help:"Print JSON."`
}

// pageSize is how much commands read at once.
const pageSize = 500

// Run lists all operators.
func (c operatorListCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		views := []operatorView{}
		cursor := ""
		for {
			page, err := b.Accounts.Operators(e.ctx, cursor, pageSize)
			if err != nil {
				return err
			}
			for _, o := range page {
				views = append(views, operatorOf(o))
			}
			if len(page) < pageSize {
				break
			}
			cursor = page[len(page)-1].ID
		}
		return e.print(c.JSON, views, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tNAME\tPRODUCT\tGATEWAY\tSTATE")
			for _, v := range views {
				state := "active"
				if v.Suspended {
					state = "suspended"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", v.ID, cell(v.Name), v.Product, dash(v.Gateway), state)
			}
			_ = t.Flush()
		})
	})
}

type operatorSuspendCmd struct {
	ID string `required:"" help:"Id of the operator."`
}

// Run suspends an operator.
func (c operatorSuspendCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		_, err := b.Accounts.Suspend(e.ctx, waypost.CommandLine(), c.ID)
		return err
	})
}

type operatorResumeCmd struct {
	ID string `required:"" help:"Id of the operator."`
}

// Run resumes an operator.
func (c operatorResumeCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		_, err := b.Accounts.Resume(e.ctx, waypost.CommandLine(), c.ID)
		return err
	})
}

type operatorDeleteCmd struct {
	ID   string `required:"" help:"Id of the operator."`
	Name string `required:"" help:"Its name, once more: this cannot be undone."`
}

// Run deletes an operator: queued mail is cancelled and the rest erased by the running
// server, step by step.
func (c operatorDeleteCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		op, err := b.Store.Operator(e.ctx, c.ID)
		if err != nil {
			return err
		}
		if op.Name != c.Name {
			return fmt.Errorf("this operator is called %q", op.Name)
		}
		return b.Accounts.RemoveOperator(e.ctx, waypost.CommandLine(), c.ID)
	})
}
