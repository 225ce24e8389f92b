package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/waypost/waypost/internal/app"
	"github.com/waypost/waypost/internal/config"
	"github.com/waypost/waypost/internal/obs"
)

type serveCmd struct{}

// Run serves until SIGTERM or SIGINT, or until a part cannot go on.
func (serveCmd) Run(e *environment) error {
	c, err := e.config()
	if err != nil {
		return err
	}
	log := obs.NewLog(e.stderr, c.LogLevel, c.LogFormat == config.LogJSON)
	return errors.Join(serve(e.ctx, c, log, e.stderr), log.Close())
}

func serve(ctx context.Context, c config.Config, log *obs.Log, stderr io.Writer) error {
	stop, release := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer release()
	for _, w := range c.Warnings() {
		log.Warn("configuration", "warning", w)
	}
	a, err := app.New(stop, app.Options{Config: c, Log: log.Logger, Version: buildVersion()})
	if err != nil {
		return err
	}
	if a.Platform.Sandbox() {
		log.Info("sandbox: WAYPOST_PLATFORM_DOMAIN is not set, mail of the built-in gateway stays in a local mailbox")
	}
	log.Info("ready", "version", buildVersion())
	_ = log.Flush()
	if err := obs.Notify(c.NotifySocket, obs.NotifyReady); err != nil {
		log.Warn("systemd was not told", "error", err)
	}
	select {
	case <-stop.Done():
		log.Info("stopping", "grace", c.ShutdownGrace.String())
	case err = <-a.Failed():
		log.Error("a part cannot go on, stopping", "error", err)
	}
	_ = obs.Notify(c.NotifySocket, obs.NotifyStopping)
	release() // a second signal ends the process at once, which loses nothing either
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownGrace)
	defer cancel()
	if stopErr := a.Stop(grace); stopErr != nil {
		fmt.Fprintln(stderr, "waypost: while stopping:", stopErr)
	}
	log.Info("stopped")
	return err
}
