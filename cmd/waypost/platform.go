package main

import (
	"fmt"
	"io"

	"github.com/waypost/waypost/internal/app"
)

type platformCmd struct {
	DNS platformDNSCmd `cmd:"" name:"dns" help:"Print the DNS records the platform's owner has to publish."`
}

type platformDNSCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run prints the records, ready to be pasted into a zone file.
func (c platformDNSCmd) Run(e *environment) error {
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
