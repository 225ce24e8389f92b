package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

func header() string {
	return fmt.Sprintf("%-5s %-17s %-8s %8s %8s %8s %8s %24s %8s %7s %8s %7s",
		"round", "system", "size", "msg/s", "accept/s", "p50 ms", "p99 ms",
		"CPU-s/10k (user+sys)", "peak MB", "flushes", "KB disk", "other")
}

// String is the result as a line under header.
func (r result) String() string {
	round := fmt.Sprint(r.round + 1)
	if r.round < 0 {
		round = "med."
	}
	return fmt.Sprintf("%-5s %-17s %-8s %8.0f %8.0f %8.1f %8.1f %8.2f %15s %8d %7.2f %8.0f %6.0f%%",
		round, r.system, r.size, r.rate, r.accepts, millis(r.wait.p50), millis(r.wait.p99),
		r.cpuPer10k(), fmt.Sprintf("(%.1f+%.1f)", r.per10k(r.used.user), r.per10k(r.used.system)),
		r.memory>>20, r.flushes, r.written/1024, r.other*100)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// mark is a ratio that the project wants to reach.
type mark struct {
	size      string
	ours      string
	peer      string
	rate      float64 // at least so many times the peer's messages/s; 0: not asked
	cpu       float64 // at least so many times fewer CPU seconds; 0: not asked
	goRSARate float64 // the same when signing with crypto/rsa
	goRSACPU  float64
}

func marks() []mark {
	return []mark{
		{size: "5 KiB", ours: "waypost-signed", peer: "postfix+opendkim", rate: 5, cpu: 5, goRSARate: 3, goRSACPU: 3},
		{size: "5 KiB", ours: "waypost-unsigned", peer: "postfix", rate: 5, goRSARate: 5},
		{size: "200 KiB", ours: "waypost-signed", peer: "postfix+opendkim", rate: 3, cpu: 5, goRSARate: 3, goRSACPU: 5},
	}
}

func (m mark) pair() string { return fmt.Sprintf("%s, %s against %s", m.size, m.ours, m.peer) }

// noisy is the share of the machine that others may take before figures are doubted.
const noisy = 0.12

// maxMemory is what waypost may take, in bytes.
const maxMemory = 300 << 20

// report prints medians, ratios and marks. It reports whether every mark that the
// results can judge was met.
func report(w io.Writer, results []result) bool {
	fmt.Fprintln(w, "\nMedians over the rounds:")
	fmt.Fprintln(w, header())
	for _, r := range medians(results) {
		fmt.Fprintln(w, r)
	}
	if slices.ContainsFunc(results, func(r result) bool { return r.other > noisy }) {
		fmt.Fprintf(w, "\nNoisy: in some runs more than %.0f%% of the machine went to others. CPU seconds are\n"+
			"steadier than messages/s then, and a ratio near its mark says nothing.\n", noisy*100)
	}
	met := true
	for i, m := range marks() {
		if i == 0 {
			fmt.Fprintln(w, "\nRatios (median of the ratios within each round) and marks:")
		}
		rate, cpu, goRSA, ok := m.ratios(results)
		if !ok {
			fmt.Fprintf(w, "%-70s not measured\n", m.pair())
			continue
		}
		wantRate, wantCPU := m.rate, m.cpu
		if goRSA {
			wantRate, wantCPU = m.goRSARate, m.goRSACPU
		}
		met = judge(w, m.pair()+": messages/s", rate, wantRate) && met
		met = judge(w, m.pair()+": CPU", cpu, wantCPU) && met
	}
	return judgeMemory(w, results) && met
}

// judge prints a ratio with its mark, if it has one, and reports whether it is met.
func judge(w io.Writer, what string, got, want float64) bool {
	if want == 0 {
		fmt.Fprintf(w, "%-70s %6.2f times\n", what, got)
		return true
	}
	verdict := "met"
	if got < want {
		verdict = "MISSED"
	}
	fmt.Fprintf(w, "%-70s %6.2f times, mark %g: %s\n", what, got, want, verdict)
	return got >= want
}

func judgeMemory(w io.Writer, results []result) bool {
	var most int64
	for _, r := range results {
		if r.system == "waypost-signed" || r.system == "waypost-unsigned" {
			most = max(most, r.memory)
		}
	}
	if most == 0 {
		return true
	}
	verdict := "met"
	if most >= maxMemory {
		verdict = "MISSED"
	}
	fmt.Fprintf(w, "%-70s %6d MB, mark %d: %s\n", "most memory of waypost in any run", most>>20, maxMemory>>20, verdict)
	return most < maxMemory
}

// ratios returns how many times better ours is than the peer.
func (m mark) ratios(results []result) (rate, cpu float64, goRSA, ok bool) {
	var rates, cpus []float64
	for _, ours := range results {
		if ours.system != m.ours || ours.size != m.size {
			continue
		}
		i := slices.IndexFunc(results, func(r result) bool {
			return r.system == m.peer && r.size == m.size && r.round == ours.round
		})
		if i < 0 {
			continue
		}
		goRSA = goRSA || ours.goRSA
		rates = append(rates, ours.rate/results[i].rate)
		cpus = append(cpus, results[i].cpuPer10k()/ours.cpuPer10k())
	}
	return median(rates), median(cpus), goRSA, len(rates) > 0
}

// medians folds the rounds of each system and size into one result, figure by
// figure; its round is -1.
func medians(results []result) []result {
	var folded []result
	for _, first := range results {
		if first.round != 0 {
			continue
		}
		var same []result
		for _, r := range results {
			if r.system == first.system && r.size == first.size {
				same = append(same, r)
			}
		}
		m := first
		m.round = -1
		m.rate = medianOf(same, func(r result) float64 { return r.rate })
		m.accepts = medianOf(same, func(r result) float64 { return r.accepts })
		m.wait.p50 = medianOf(same, func(r result) time.Duration { return r.wait.p50 })
		m.wait.p99 = medianOf(same, func(r result) time.Duration { return r.wait.p99 })
		m.used.user = medianOf(same, func(r result) time.Duration { return r.used.user })
		m.used.system = medianOf(same, func(r result) time.Duration { return r.used.system })
		m.memory = medianOf(same, func(r result) int64 { return r.memory })
		m.flushes = medianOf(same, func(r result) float64 { return r.flushes })
		m.written = medianOf(same, func(r result) float64 { return r.written })
		m.other = medianOf(same, func(r result) float64 { return r.other })
		folded = append(folded, m)
	}
	return folded
}

func medianOf[T int64 | float64 | time.Duration](results []result, figure func(result) T) T {
	figures := make([]T, len(results))
	for i, r := range results {
		figures[i] = figure(r)
	}
	return median(figures)
}

// median returns the middle value, or the mean of the two in the middle; 0 of none.
func median[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
