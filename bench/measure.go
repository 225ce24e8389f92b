package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// measurement is one run of one system with one message size.
type measurement struct {
	system   system
	size     size
	round    int
	sessions int
	dir      string
	disk     disk
}

// result is what came of it.
type result struct {
	system   string
	goRSA    bool
	size     string
	round    int
	messages int

	rate    float64 // messages/s, from the first connection to the last mail in the sink
	accepts float64 // messages/s until the last one was accepted
	wait    latency
	used    cpu     // of the system under test
	memory  int64   // bytes, see memoryOf
	flushes float64 // per message, of the whole disk
	written float64 // bytes per message, of the whole disk
	other   float64 // share of the machine taken by neither system nor load
}

// cpuPer10k is the processor seconds that 10,000 messages cost.
func (r result) cpuPer10k() float64 { return r.per10k(r.used.total()) }

func (r result) per10k(d time.Duration) float64 { return d.Seconds() * 10_000 / float64(r.messages) }

func (m measurement) run(ctx context.Context) (r result, err error) {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	sink, err := startSink(ctx, "")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, sink.stop()) }()
	in, err := m.system.start(ctx, m.dir, sink.port)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, in.stop()) }()

	r = result{
		system: m.system.name(), goRSA: in.goRSA, size: m.size.name, round: m.round,
		messages: m.size.messages,
	}
	// A tenth warms it up: processes forked, connections open, caches filled.
	if err := m.load(ctx, in, sink, m.size.messages/10, nil); err != nil {
		return r, fmt.Errorf("warm-up: %w", err)
	}
	if err := m.throughput(ctx, in, sink, &r); err != nil {
		return r, err
	}
	before := sink.count.Load()
	if r.wait, err = timeAccepts(ctx, in.addr, m.sessions, m.size.timed, m.size.bytes); err != nil {
		return r, fmt.Errorf("timing accepts: %w", err)
	}
	return r, sink.wait(ctx, before+int64(m.size.timed))
}

// load sends count messages and waits until the sink has them all. It calls
// accepted, if given, when the last one was accepted.
func (m measurement) load(ctx context.Context, in *instance, sink *sink, count int, accepted func(*exec.Cmd)) error {
	if count == 0 {
		return nil
	}
	want := sink.count.Load() + int64(count)
	cmd, err := source(ctx, in.addr, m.sessions, count, m.size.bytes)
	if err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("smtp-source: %w", err)
	}
	if accepted != nil {
		accepted(cmd)
	}
	return sink.wait(ctx, want)
}

// snapshot is what the machine and the system under test have used so far.
type snapshot struct {
	at      time.Time
	system  cpu
	machine time.Duration
	load    time.Duration // sink and ourselves
	disk    diskUse
}

func (m measurement) snapshot(in *instance, sink *sink) (s snapshot, err error) {
	if s.system, err = cpuOf(in.roots); err != nil {
		return s, err
	}
	if s.machine, err = busy(); err != nil {
		return s, err
	}
	sinkCPU, err := cpuOf([]int{sink.pid()})
	if err != nil {
		return s, err
	}
	s.load = sinkCPU.total() + ownCPU()
	s.disk, err = m.disk.use()
	s.at = time.Now()
	return s, err
}

func (m measurement) throughput(ctx context.Context, in *instance, sink *sink, r *result) error {
	watched, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- watchMemory(watched, in.roots) }()
	defer stop()

	before, err := m.snapshot(in, sink)
	if err != nil {
		return err
	}
	var (
		acceptedAt time.Time
		sourceCPU  time.Duration
	)
	err = m.load(ctx, in, sink, m.size.messages, func(cmd *exec.Cmd) {
		acceptedAt = time.Now()
		sourceCPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	})
	if err != nil {
		return err
	}
	after, err := m.snapshot(in, sink)
	if err != nil {
		return err
	}
	stop()

	took := after.at.Sub(before.at)
	n := float64(m.size.messages)
	r.memory = <-peak
	r.rate = n / took.Seconds()
	r.accepts = n / acceptedAt.Sub(before.at).Seconds()
	r.used = after.system.minus(before.system)
	r.flushes = float64(after.disk.flushes-before.disk.flushes) / n
	r.written = float64(after.disk.written-before.disk.written) / n
	others := after.machine - before.machine - r.used.total() - sourceCPU - (after.load - before.load)
	r.other = max(0, others.Seconds()/(took.Seconds()*float64(runtime.NumCPU())))
	return nil
}

// watchMemory looks every three seconds, and once at the end, and returns the most
// it saw. Adding up the shares of many processes is not free, so not more often.
func watchMemory(ctx context.Context, roots []int) int64 {
	var peak int64
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for {
		if n, err := memoryOf(roots); err == nil {
			peak = max(peak, n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if n, err := memoryOf(roots); err == nil {
				peak = max(peak, n)
			}
			return peak
		}
	}
}

// probe lets a system deliver one mail and checks that it does what it will be
// measured for: sign, or not.
func probe(ctx context.Context, s system, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sink, err := startSink(ctx, dir+"/mail")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.stop()) }()
	in, err := s.start(ctx, dir, sink.port)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.stop()) }()

	m := measurement{size: size{bytes: 5 << 10}, sessions: 1}
	if err := m.load(ctx, in, sink, 1, nil); err != nil {
		return err
	}
	mail, err := dumpedMail(dir + "/mail")
	if err != nil {
		return err
	}
	if !s.signs() {
		if strings.Contains(strings.ToLower(mail), "\ndkim-signature:") {
			return errors.New("it signs, but should not")
		}
		return nil
	}
	return checkSignature(mail, in.txt)
}
