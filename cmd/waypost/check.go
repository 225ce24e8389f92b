package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"text/tabwriter"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/config"
)

type checkCmd struct{}

// Run checks what a start would need, prints what it finds, and fails if a start would.
func (checkCmd) Run(e *environment) error {
	c, err := e.config()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	for _, r := range c.Rows() {
		fmt.Fprintf(t, "WAYPOST_%s\t%s\t(%s)\n", r.Name, dash(r.Value), r.Origin)
	}
	_ = t.Flush()
	for _, w := range c.Warnings() {
		fmt.Fprintln(e.stdout, "warning:", w)
	}
	if _, err = classify.Open(c.ReplyRules); err != nil {
		err = fmt.Errorf("%sREPLY_RULES: %w", config.Prefix, err)
	}
	return errors.Join(err, checkPorts(e, c), e.base(func(b *app.Base) error {
		engine, reason := b.Keys.Engine()
		fmt.Fprintf(e.stdout, "ok: database (%s) opens, its schema is current and the instance key is its own\n", b.Engine.Dialect.Name)
		fmt.Fprintf(e.stdout, "ok: DKIM keys open; signatures by %s", engine)
		if reason != "" {
			fmt.Fprintf(e.stdout, " (%s)", reason)
		}
		fmt.Fprintln(e.stdout)
		return nil
	}))
}

// checkPorts tries to listen where a start would. While the server runs on this data
// directory its ports are taken by itself, which is as it should be.
func checkPorts(e *environment, c config.Config) error {
	release, err := app.Lock(c.DataDir)
	if errors.Is(err, app.ErrLocked) {
		fmt.Fprintln(e.stdout, "ok: the server is running on this data directory; its ports are not tried")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	var errs []error
	for _, l := range []struct{ name, addr string }{
		{"HTTP_ADDR", c.HTTPAddr},
		{"SMTP_ADDR", c.SMTPAddr},
		{"SMTPS_ADDR", c.SMTPSAddr},
		{"BOUNCE_ADDR", c.BounceAddr},
		{"METRICS_ADDR", c.MetricsAddr},
	} {
		if l.addr == "" {
			continue
		}
		listener, err := net.Listen("tcp", l.addr) //nolint:noctx // returns at once
		if err != nil {
			hint := ""
			if errors.Is(err, os.ErrPermission) {
				hint = " (ports below 1024 need CAP_NET_BIND_SERVICE: see packaging/waypost.service)"
			}
			errs = append(errs, fmt.Errorf("WAYPOST_%s: %w%s", l.name, err, hint))
			continue
		}
		fmt.Fprintf(e.stdout, "ok: WAYPOST_%s can listen on %s\n", l.name, l.addr)
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}
