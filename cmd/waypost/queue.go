package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

type queueCmd struct {
	List    queueListCmd    `cmd:"" help:"List queued deliveries."`
	Retry   queueRetryCmd   `cmd:"" help:"Try deliveries now."`
	Hold    queueHoldCmd    `cmd:"" help:"Keep deliveries until they are released."`
	Release queueReleaseCmd `cmd:"" help:"Let held deliveries go."`
	Cancel  queueCancelCmd  `cmd:"" help:"End deliveries without sending them."`
}

type queueListCmd struct {
	Operator string `help:"Only of one operator." placeholder:"ID"`
	Domain   string `help:"Only to one recipient domain." placeholder:"DOMAIN"`
	State    string `enum:"leased,held,deferred,scheduled," default:"" help:"Only leased, held, deferred or scheduled ones."`
	Limit    int    `default:"100" help:"At most so many."`
	JSON     bool   `help:"Print JSON."`
}

// deliveryView is a delivery as commands print it.
type deliveryView struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	Operator  string `json:"operator_id"`
	To        string `json:"to"`
	Kind      string `json:"kind"`
	Lane      string `json:"lane"`
	State     string `json:"status"`
	Held      bool   `json:"held"`
	Leased    bool   `json:"leased"`
	Attempts  int    `json:"attempts"`
	NextAt    string `json:"next_at"`
	Expires   string `json:"expires_at"`
	Reason    string `json:"reason,omitempty"`
}

func deliveryOf(d waypost.Delivery) deliveryView {
	return deliveryView{
		ID: d.ID, MessageID: d.MessageID, Operator: d.OperatorID, To: d.Recipient, Kind: string(d.Kind), Lane: string(d.Lane),
		State: string(d.State), Held: d.Held, Leased: d.Lease != "", Attempts: d.Attempts, NextAt: instant(d.NextAt),
		Expires: instant(d.Expires), Reason: d.Reason,
	}
}

// Run lists what waits.
func (c queueListCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		list, _, err := b.System.QueueList(e.ctx, system.QueueFilter{
			OperatorID: c.Operator, Domain: c.Domain, State: system.QueueState(c.State),
		}, "", c.Limit)
		if err != nil {
			return err
		}
		views := []deliveryView{}
		for _, d := range list {
			views = append(views, deliveryOf(d))
		}
		return e.print(c.JSON, views, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tTO\tLANE\tTRIES\tNEXT\tWHY")
			for _, v := range views {
				next := v.NextAt
				switch {
				case v.Held:
					next = "held"
				case v.Leased:
					next = "now"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", v.ID, cell(v.To), v.Lane, v.Attempts, next, dash(v.Reason))
			}
			_ = t.Flush()
		})
	})
}

// whereFlags name deliveries.
type whereFlags struct {
	ID       string `xor:"where" required:"" help:"One delivery."`
	Operator string `xor:"where" required:"" help:"All of one operator." placeholder:"ID"`
	Domain   string `xor:"where" required:"" help:"All to one recipient domain." placeholder:"DOMAIN"`
	All      bool   `xor:"where" required:"" help:"All there are."`
	JSON     bool   `help:"Print JSON."`
}

func (f whereFlags) apply(e *environment, action store.ControlAction) error {
	return e.base(func(b *app.Base) error {
		done, pending, skipped, err := b.System.ControlWhere(e.ctx, waypost.CommandLine(), system.Where{
			DeliveryID: f.ID, OperatorID: f.Operator, Domain: f.Domain, All: f.All,
		}, action, time.Now())
		if err != nil && done+pending > 0 {
			return fmt.Errorf("%w; not finished: %d done, %d pending, %d skipped so far, do it again for the rest", err, done, pending, skipped)
		}
		if err != nil {
			return err
		}
		return e.print(f.JSON, map[string]int{"done": done, "pending": pending, "skipped": skipped}, func(w io.Writer) {
			fmt.Fprintf(w, "%d done, %d pending (being tried now), %d skipped\n", done, pending, skipped)
		})
	})
}

type queueRetryCmd struct{ whereFlags }

// Run makes deliveries due now.
func (c queueRetryCmd) Run(e *environment) error { return c.apply(e, store.Retry) }

type queueHoldCmd struct{ whereFlags }

// Run holds deliveries.
func (c queueHoldCmd) Run(e *environment) error { return c.apply(e, store.Hold) }

type queueReleaseCmd struct{ whereFlags }

// Run releases held deliveries.
func (c queueReleaseCmd) Run(e *environment) error { return c.apply(e, store.Release) }

type queueCancelCmd struct{ whereFlags }

// Run cancels deliveries.
func (c queueCancelCmd) Run(e *environment) error { return c.apply(e, store.Cancel) }
