package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// sink is a running smtp-sink that counts what it takes.
type sink struct {
	*daemon
	port  int
	count atomic.Int64 // messages whose final dot it has answered
}

// startSink starts smtp-sink on a free port; with dump, it also writes each mail
// to a file in that folder.
func startSink(ctx context.Context, dump string) (*sink, error) {
	tool, err := findTool("smtp-sink")
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	// It insists on leaving root behind.
	args := []string{"-c", "-h", exchanger, "-u", "nobody"}
	if dump != "" {
		if err := os.MkdirAll(dump, 0o755); err != nil {
			return nil, err
		}
		if err := chownTo(dump, "nobody"); err != nil {
			return nil, err
		}
		args = append(args, "-d", filepath.Join(dump, "mail."))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := command(ctx, tool, append(args, loopback(port), "1024")...)
	cmd.Stdout = w
	cmd.Stderr = os.Stderr
	s := &sink{port: port}
	s.daemon, err = startDaemon(cmd)
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	go s.follow(r)
	if err := waitFor(ctx, "smtp-sink", s.daemon, func() bool { return listening(ctx, loopback(port)) }); err != nil {
		_ = s.stop()
		return nil, err
	}
	return s, nil
}

// follow reads the counters that smtp-sink -c prints with every mail,
// "sess=1 quit=0 mesg=2\r". It looks at them a hundred times a second instead of
// waking up for each, to take no CPU from those who are measured.
func (s *sink) follow(r *os.File) {
	defer r.Close()
	buf := make([]byte, 64<<10)
	held := 0 // bytes of an unfinished line kept from the last read
	for {
		n, err := r.Read(buf[held:])
		if err != nil {
			return
		}
		text := buf[:held+n]
		if c, ok := lastCount(text); ok {
			s.count.Store(c)
		}
		held = copy(buf, text[bytes.LastIndexByte(text, '\r')+1:])
		time.Sleep(10 * time.Millisecond)
	}
}

// lastCount returns the last complete message counter in what smtp-sink printed.
func lastCount(b []byte) (int64, bool) {
	end := bytes.LastIndexByte(b, '\r')
	if end < 0 {
		return 0, false
	}
	start := bytes.LastIndex(b[:end], []byte("mesg="))
	if start < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b[start+len("mesg="):end]), 10, 64)
	return n, err == nil
}

// wait blocks until the sink has count messages. It gives up when a minute passes
// without a new one.
func (s *sink) wait(ctx context.Context, count int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, seen := s.count.Load(), time.Now()
	for {
		got := s.count.Load()
		if got >= count {
			return nil
		}
		if got != last {
			last, seen = got, time.Now()
		}
		if time.Since(seen) > time.Minute {
			return fmt.Errorf("the sink has %d of %d messages and nothing more comes", got, count)
		}
		select {
		case <-tick.C:
		case <-s.done:
			return fmt.Errorf("smtp-sink ended: %w", s.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// source prepares smtp-source: count messages of a size over kept sessions.
func source(ctx context.Context, addr string, sessions, count, bytes int) (*exec.Cmd, error) {
	tool, err := findTool("smtp-source")
	if err != nil {
		return nil, err
	}
	cmd := command(ctx, tool,
		"-s", strconv.Itoa(min(sessions, count)), "-d",
		"-m", strconv.Itoa(count), "-l", strconv.Itoa(bytes),
		"-M", "tracker.test", "-S", "Geofence entered", "-f", senderAddress, "-t", recipient,
		addr)
	cmd.Stderr = os.Stderr
	return cmd, nil
}
