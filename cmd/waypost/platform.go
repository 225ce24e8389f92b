package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/verify"
	"github.com/waypost/waypost/internal/waypost"
)

type platformCmd struct {
	DNS  platformDNSCmd  `cmd:"" name:"dns" help:"Print the DNS records the platform's owner has to publish."`
	DKIM platformDKIMCmd `cmd:"" name:"dkim" help:"The platform's signing keys."`
}

type platformDNSCmd struct {
	Check bool `help:"Look at each record now, with what to do. Exit status 1 if a required one is not right."`
	JSON  bool `help:"Print JSON."`
}

// checkedRecord is a record with what was found.
type checkedRecord struct {
	verify.Record
	Part     verify.Part     `json:"part"`
	Required bool            `json:"required"`
	Found    []string        `json:"found"`
	Verdict  verify.Verdict  `json:"verdict"`
	Advice   []verify.Advice `json:"advice"`
	Servers  string          `json:"servers"`
}

// Run prints the records, ready to be pasted into a zone file.
func (c platformDNSCmd) Run(e *environment) error {
	if c.Check {
		return e.base(func(b *app.Base) error { return c.check(e, b) })
	}
	return e.base(func(b *app.Base) error {
		records, err := b.Records()
		if err != nil {
			return err
		}
		return e.print(c.JSON, map[string]any{"records": records}, func(w io.Writer) {
			for _, r := range records {
				fmt.Fprintln(w, r.ZoneLine())
			}
		})
	})
}

var errNotPublished = errors.New("not everything that is required is published")

func (c platformDNSCmd) check(e *environment, b *app.Base) error {
	report, err := b.CheckPlatform(e.ctx)
	if err != nil {
		return err
	}
	rotation, err := b.KeyRotation(e.ctx)
	if err != nil {
		return err
	}
	records := make([]checkedRecord, len(report.Items))
	for i, item := range report.Items {
		records[i] = checkedRecord{item.Record, item.Part, item.Required, item.Found, item.Verdict, item.Advice, item.Servers}
	}
	err = e.print(c.JSON, map[string]any{"records": records, "rotation": rotationJSON(rotation)}, func(w io.Writer) {
		for _, r := range records {
			fmt.Fprintf(w, "%-8s %s\n", r.Verdict, r.line())
			for _, f := range r.Found {
				if r.Verdict != verify.OK {
					fmt.Fprintf(w, "         found: %s\n", cell(f))
				}
			}
			if r.Servers != "" {
				fmt.Fprintf(w, "         %s\n", cell(r.Servers))
			}
			for _, a := range r.Advice {
				fmt.Fprintf(w, "         %s: %s\n", a.Level, cell(a.Text))
			}
		}
		fmt.Fprintln(w, rotationSentence(rotation))
	})
	if err == nil && !report.Ready() {
		err = errNotPublished
	}
	return err
}

func (r checkedRecord) line() string {
	switch {
	case r.Value == "":
		return r.Type + " of " + r.Name
	case r.Type == "PTR":
		return "name of " + r.Name + ": " + r.Value
	default:
		return r.ZoneLine()
	}
}

type platformDKIMCmd struct {
	Rotate platformRotateCmd `cmd:"" help:"Sign with the other key as soon as its record has been seen everywhere."`
}

type platformRotateCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run asks for a rotation; the server does it.
func (c platformRotateCmd) Run(e *environment) error {
	return e.base(func(b *app.Base) error {
		status, err := b.RotateKeys(e.ctx, waypost.CommandLine())
		if err != nil {
			return err
		}
		return e.print(c.JSON, rotationJSON(status), func(w io.Writer) { fmt.Fprintln(w, rotationSentence(status)) })
	})
}

func rotationJSON(s verify.RotationStatus) map[string]any {
	return map[string]any{
		"signing": s.Signing.Selector, "signing_since": instant(s.Signing.Started), "other": s.Other.Selector,
		"state": s.State, "asked_at": instant(s.Other.Wanted), "until": instant(s.Until),
	}
}

func rotationSentence(s verify.RotationStatus) string {
	signs := fmt.Sprintf("%s signs since %s. ", s.Signing.Selector, instant(s.Signing.Started))
	switch s.State {
	case verify.RotationRecord:
		return signs + fmt.Sprintf("A rotation to %s is asked for: the running server waits until its records are at all name servers (`waypost platform dns --check`).", s.Other.Selector)
	case verify.RotationCaches:
		until := "until resolvers have seen its record for one TTL"
		if !s.Until.IsZero() {
			until = "until " + instant(s.Until) + ", when no resolver can remember anything else"
		}
		return signs + fmt.Sprintf("A rotation to %s is asked for: its records are published, and the running server waits %s.", s.Other.Selector, until)
	case verify.RotationKeeping:
		return signs + fmt.Sprintf("%s has signed before; leave its record as it is until %s.", s.Other.Selector, instant(s.Until))
	default:
		return signs + fmt.Sprintf("%s is the other key.", s.Other.Selector)
	}
}
