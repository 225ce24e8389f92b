package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of the times in /proc (USER_HZ); Linux fixed it at 100
// for everything that user space sees.
const ticksPerSecond = 100

// cpu is processor time.
type cpu struct{ user, system time.Duration }

func (c cpu) total() time.Duration { return c.user + c.system }

func (c cpu) minus(o cpu) cpu { return cpu{c.user - o.user, c.system - o.system} }

func ticks(n uint64) time.Duration { return time.Duration(n) * time.Second / ticksPerSecond }

// process is what /proc/PID/stat says.
type process struct {
	pid, parent int
	own, reaped cpu // of itself, and of its children that have ended
}

// parseStat reads a line of /proc/PID/stat (proc(5)). The name in parentheses may
// hold anything, parentheses too.
func parseStat(line []byte) (process, error) {
	closing := bytes.LastIndexByte(line, ')')
	if closing < 0 {
		return process{}, fmt.Errorf("no process name in %q", line)
	}
	pid, err := strconv.Atoi(string(line[:max(bytes.IndexByte(line, ' '), 0)]))
	if err != nil {
		return process{}, err
	}
	fields := bytes.Fields(line[closing+1:]) // fields[0] is the third, the state
	if len(fields) < 15 {
		return process{}, fmt.Errorf("short stat line %q", line)
	}
	number := func(field int) uint64 {
		n, parseErr := strconv.ParseUint(string(fields[field-3]), 10, 64)
		if parseErr != nil {
			err = parseErr
		}
		return n
	}
	p := process{
		pid:    pid,
		parent: int(number(4)),
		own:    cpu{ticks(number(14)), ticks(number(15))},
		reaped: cpu{ticks(number(16)), ticks(number(17))},
	}
	return p, err
}

// tree returns the processes at and below the roots.
func tree(roots []int) ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]process)
	var found []process
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		p, err := parseStat(line)
		if err != nil {
			return nil, err
		}
		children[p.parent] = append(children[p.parent], p)
		for _, root := range roots {
			if p.pid == root {
				found = append(found, p)
			}
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}

// cpuOf returns what a process tree has used since it began. A child that ended is
// in its parent's reaped time, so nothing is lost when processes come and go.
func cpuOf(roots []int) (cpu, error) {
	processes, err := tree(roots)
	if err != nil {
		return cpu{}, err
	}
	var sum cpu
	for _, p := range processes {
		sum.user += p.own.user + p.reaped.user
		sum.system += p.own.system + p.reaped.system
	}
	return sum, nil
}

// busy returns the processor time that the whole machine has spent since boot on
// anything but idling and waiting for disks.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var sum time.Duration
	for i, field := range strings.Fields(line)[1:] {
		// user nice system idle iowait irq softirq steal; guest time is in user.
		if i == 3 || i == 4 || i > 6 {
			continue
		}
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += ticks(n)
	}
	return sum, nil
}

// ownCPU is what this program itself has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memoryOf returns the memory of a process tree in bytes. For a single process it
// is the peak resident set since it began (VmHWM); several share pages, so there it
// is the sum of their proportional shares at this moment.
func memoryOf(roots []int) (int64, error) {
	processes, err := tree(roots)
	if err != nil {
		return 0, err
	}
	if len(processes) == 1 {
		return kilobytes(fmt.Sprintf("/proc/%d/status", processes[0].pid), "VmHWM:")
	}
	var sum int64
	for _, p := range processes {
		n, err := kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid), "Pss:")
		if err == nil { // else it ended meanwhile
			sum += n
		}
	}
	return sum, nil
}

// kilobytes returns the bytes behind a "Name:  123 kB" line of a file.
func kilobytes(path, name string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, path)
}

// disk is a block device by its numbers.
type disk struct{ major, minor uint32 }

// diskOf returns the device that a folder is on. A folder in memory is refused:
// syncing costs nothing there.
func diskOf(dir string) (disk, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return disk{}, err
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		return disk{}, fmt.Errorf("%s is in memory: choose a folder on a disk with -dir", dir)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return disk{}, err
	}
	return disk{unix.Major(st.Dev), unix.Minor(st.Dev)}, nil
}

// diskUse is what a device has done since boot.
type diskUse struct {
	flushes uint64
	written uint64 // bytes
}

// use reads the device's line of /proc/diskstats. A device without one (a stacked
// file system has such) counts as having done nothing.
func (d disk) use() (diskUse, error) {
	text, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return diskUse{}, err
	}
	return parseDiskStats(string(text), d)
}

func parseDiskStats(text string, d disk) (diskUse, error) {
	for line := range strings.Lines(text) {
		// Documentation/admin-guide/iostats.rst: after major, minor and name, field 7
		// is sectors written (of 512 bytes whatever the device), field 16 flushes.
		f := strings.Fields(line)
		if len(f) < 19 || f[0] != strconv.Itoa(int(d.major)) || f[1] != strconv.Itoa(int(d.minor)) {
			continue
		}
		sectors, err := strconv.ParseUint(f[9], 10, 64)
		if err != nil {
			return diskUse{}, err
		}
		flushes, err := strconv.ParseUint(f[18], 10, 64)
		return diskUse{flushes: flushes, written: sectors * 512}, err
	}
	return diskUse{}, nil
}
