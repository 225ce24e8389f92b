package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

type messageCmd struct {
	List messageListCmd `cmd:"" help:"List messages, newest first."`
}

type messageListCmd struct {
	Operator  string `help:"Of one operator; without it, of all." placeholder:"ID"`
	Recipient string `help:"Address, prefix* or @domain."`
	Subject   string `help:"Word of the subject."`
	Status    string `help:"Of at least one delivery: queued, delivered, bounced ..."`
	Limit     int    `default:"50" help:"At most so many an operator."`
	JSON      bool   `help:"Print JSON."`
}

// messageView is a message as commands print it.
type messageView struct {
	ID         string         `json:"id"`
	OperatorID string         `json:"operator_id"`
	Created    string         `json:"created"`
	Kind       string         `json:"kind"`
	Lane       string         `json:"lane"`
	From       string         `json:"from"`
	To         string         `json:"to"`
	Recipients int            `json:"recipients"`
	Subject    string         `json:"subject"`
	Size       int64          `json:"size"`
	Statuses   map[string]int `json:"statuses"`
}

// Run lists messages.
func (c messageListCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		operators := []string{c.Operator}
		if c.Operator == "" {
			operators = operators[:0]
			list, err := b.Accounts.Operators(e.ctx, "", pageSize)
			if err != nil {
				return err
			}
			for _, o := range list {
				operators = append(operators, o.ID)
			}
		}
		views := []messageView{}
		for _, op := range operators {
			page, err := b.Store.Messages(e.ctx, op, store.MessageFilter{
				Recipient: c.Recipient, Subject: c.Subject, State: waypost.State(c.Status), Limit: c.Limit,
			})
			if err != nil {
				return err
			}
			for _, m := range page.Messages {
				v := messageView{
					ID: m.ID, OperatorID: m.OperatorID, Created: instant(m.Created), Kind: string(m.Kind), Lane: string(m.Lane),
					From: m.From.Email, To: m.Recipient, Recipients: m.Recipients, Subject: m.Subject, Size: m.Size,
					Statuses: map[string]int{},
				}
				for s, n := range m.States {
					v.Statuses[string(s)] = n
				}
				views = append(views, v)
			}
		}
		return e.print(c.JSON, views, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tCREATED\tTO\tSTATUS\tSUBJECT")
			for _, v := range views {
				to := v.To
				if v.Recipients > 1 {
					to = fmt.Sprintf("%s +%d", to, v.Recipients-1)
				}
				var status []string
				for _, s := range append([]waypost.State{waypost.Queued}, waypost.FinalStates()...) {
					if n := v.Statuses[string(s)]; n > 0 {
						status = append(status, fmt.Sprintf("%d %s", n, s))
					}
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", v.ID, v.Created, cell(to), strings.Join(status, ", "), cell(v.Subject))
			}
			_ = t.Flush()
		})
	})
}
