// Command bench measures the built waypost binary side by side with Postfix and
// Postfix+OpenDKIM, each in turn on the same machine in the same run:
//
//	smtp-source -> system under test -> smtp-sink
//
// It does the following, in order:
//
//  1. probe: every system delivers one mail, and its DKIM signature is verified
//     (or its absence), so that nobody is measured doing less than its name says;
//  2. rounds: for each message size, every system is started afresh, warmed up,
//     loaded with kept sessions (throughput, CPU, memory, disk flushes), then loaded
//     by our own client that times every mail (latency), then stopped;
//  3. report: the medians over the rounds, the ratios within each round, and whether
//     the marks the project set itself are met. A missed mark is exit status 1.
//
// Everything listens on 127.0.0.1 and lives in one temporary folder. Needs root
// (Postfix does), smtp-source, smtp-sink, postfix and opendkim.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	waypost  string
	systems  string
	rounds   int
	sizes    []size
	sessions int
	timeout  time.Duration
	dir      string
}

// size is one message size and how much of it is sent.
type size struct {
	name     string
	bytes    int
	messages int // of the throughput part
	timed    int // of the latency part
}

func main() {
	// Children die with the thread that started them (see command), so that
	// killing this program leaves no server behind. The main thread lives as long
	// as the program does.
	runtime.LockOSThread()

	opt := options{sizes: []size{
		{name: "5 KiB", bytes: 5 << 10, messages: 20_000, timed: 2_000},
		{name: "200 KiB", bytes: 200 << 10, messages: 2_000, timed: 500},
	}}
	flag.StringVar(&opt.waypost, "waypost", "bin/waypost", "the binary to measure")
	flag.StringVar(&opt.systems, "systems", "postfix+opendkim,waypost-signed,postfix,waypost-unsigned", "what to measure, in the order of a round")
	flag.IntVar(&opt.rounds, "rounds", 3, "rounds; the report shows medians")
	flag.IntVar(&opt.sizes[0].messages, "small", opt.sizes[0].messages, "messages of 5 KiB in one run, 0 for none")
	flag.IntVar(&opt.sizes[1].messages, "large", opt.sizes[1].messages, "messages of 200 KiB in one run, 0 for none")
	flag.IntVar(&opt.sessions, "sessions", 50, "SMTP sessions kept by the load generator")
	flag.DurationVar(&opt.timeout, "timeout", 40*time.Minute, "give up after this long")
	flag.StringVar(&opt.dir, "dir", os.TempDir(), "folder for queues and databases; must be on a real disk")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, opt.timeout)
	defer cancel()

	met, err := run(ctx, opt)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	case !met:
		os.Exit(1)
	}
}

// run measures everything and prints the report. It reports whether all marks
// that could be judged were met.
func run(ctx context.Context, opt options) (met bool, err error) {
	if os.Geteuid() != 0 {
		return false, errors.New("run me as root: Postfix starts only so")
	}
	dir, err := os.MkdirTemp(opt.dir, "waypost-bench-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Postfix's own user has to get through to its queue.
	if err := os.Chmod(dir, 0o755); err != nil {
		return false, err
	}
	disk, err := diskOf(dir)
	if err != nil {
		return false, err
	}

	systems, err := pick(opt)
	if err != nil {
		return false, err
	}
	for _, s := range systems {
		if err := probe(ctx, s, filepath.Join(dir, "probe-"+s.name())); err != nil {
			return false, fmt.Errorf("probe %s: %w", s.name(), err)
		}
	}

	var results []result
	fmt.Println(header())
	for round := range opt.rounds {
		for _, size := range opt.sizes {
			if size.messages == 0 {
				continue
			}
			for _, s := range systems {
				m := measurement{
					system: s, size: size, round: round, sessions: opt.sessions, disk: disk,
					dir: filepath.Join(dir, fmt.Sprintf("%d-%d-%s", round, size.bytes, s.name())),
				}
				r, err := m.run(ctx)
				if err != nil {
					return false, fmt.Errorf("%s, %s, round %d: %w", s.name(), size.name, round+1, err)
				}
				results = append(results, r)
				fmt.Println(r)
			}
		}
	}
	return report(os.Stdout, results), nil
}

// pick turns the names asked for into systems.
func pick(opt options) ([]system, error) {
	waypost, err := filepath.Abs(opt.waypost)
	if err != nil {
		return nil, err
	}
	known := []system{
		postfix{},
		postfix{signing: true},
		gateway{binary: waypost},
		gateway{binary: waypost, signing: true},
	}
	var picked []system
	for name := range strings.SplitSeq(opt.systems, ",") {
		i := slices.IndexFunc(known, func(s system) bool { return s.name() == name })
		if i < 0 {
			return nil, fmt.Errorf("no system is called %q", name)
		}
		picked = append(picked, known[i])
	}
	return picked, nil
}
