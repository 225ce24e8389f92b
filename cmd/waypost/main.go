// Command waypost is the e-mail gateway: `waypost serve` runs it, the other commands
// manage what it serves, while it runs or not. `waypost help` lists them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/config"
)

// commandLine is every command with its flags.
type commandLine struct {
	Config string `help:"YAML file with settings. Each can also be set by the environment." type:"path" placeholder:"FILE"`

	Serve      serveCmd      `cmd:"" help:"Run the gateway."`
	Check      checkCmd      `cmd:"" help:"Check configuration, instance key, database and ports."`
	Operator   operatorCmd   `cmd:"" help:"Manage operators."`
	Credential credentialCmd `cmd:"" help:"Manage API keys, which are SMTP passwords too."`
	User       userCmd       `cmd:"" help:"Manage the people who sign in."`
	Queue      queueCmd      `cmd:"" help:"See and control what waits."`
	Message    messageCmd    `cmd:"" help:"Look at messages."`
	Rules      rulesCmd      `cmd:"" help:"Try the rules on what other servers reply."`
	Platform   platformCmd   `cmd:"" help:"The platform's own affairs."`
	Backup     backupCmd     `cmd:"" help:"Write a consistent copy of the SQLite database, also while it is served."`
	Restore    restoreCmd    `cmd:"" help:"Put a backup in the place of the SQLite database."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// environment is what commands are run with.
type environment struct {
	ctx    context.Context //nolint:containedctx // the life of the process
	file   string
	stdout io.Writer
	stderr io.Writer
}

func main() {
	var cli commandLine
	parser := kong.Must(&cli, kong.Name("waypost"),
		kong.Description("E-mail gateway: accepts mail over SMTP and HTTP, keeps it safe, delivers it through the gateway each operator chose."),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	ctx, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	env := &environment{ctx: context.Background(), file: cli.Config, stdout: os.Stdout, stderr: os.Stderr}
	if err := ctx.Run(env); err != nil {
		fmt.Fprintln(os.Stderr, "waypost:", err)
		os.Exit(1)
	}
}

// config loads the settings of this process.
func (e *environment) config() (config.Config, error) {
	return config.Load(e.file, os.Environ())
}

// base opens the database for a command; run gets it and it is closed afterwards.
func (e *environment) base(run func(*app.Base) error) error {
	c, err := e.config()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := app.OpenCommand(e.ctx, c, log)
	if err != nil {
		return err
	}
	return errors.Join(run(b), b.Close())
}

// print writes a value as JSON, or hands it to text.
func (e *environment) print(asJSON bool, value any, text func(io.Writer)) error {
	if !asJSON {
		text(e.stdout)
		return nil
	}
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}
