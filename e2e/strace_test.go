package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/mailtest"
)

// TestNothingIsAcknowledgedBeforeItIsSynced watches the system calls of the server:
// before the 250 to a mail over SMTP, and before the 202 over HTTP, is written, what it
// acknowledges must have been written to the write-ahead log, and an fsync or
// fdatasync of that log, begun after this write, must have returned. The same holds of
// the segment file that has the body of a large mail.
func TestNothingIsAcknowledgedBeforeItIsSynced(t *testing.T) {
	strace := tool(t, "strace")
	w := newWorld(t, mailtest.Knobs{})
	key, _ := w.credential("--operator", w.operator("Fleet", "servermate"))
	trace := filepath.Join(t.TempDir(), "trace")
	// -D: strace is the grandchild, and the server our child; -yy names files and sockets.
	s := w.launch(strace, "-D", "-f", "-yy", "-s", "9000", "-o", trace,
		"-e", "trace=fsync,fdatasync,write,writev,pwrite64,sendto,sendmsg", binary, "serve")
	if !within(patience, func() bool {
		select {
		case <-s.ready:
			return true
		default:
			return !s.running()
		}
	}) || !s.running() {
		if strings.Contains(s.log(), "ptrace") || strings.Contains(s.log(), "PTRACE") {
			missing(t, "strace may not attach: "+s.log())
		}
		t.Fatalf("the server does not run under strace:\n%s", s.log())
	}

	const clients, mails = 6, 12
	var mu sync.Mutex
	wanted := map[string]string{} // ids that were acknowledged, with the recipient if the mail is large
	note200 := func(id, large string) {
		mu.Lock()
		defer mu.Unlock()
		wanted[id] = large
	}
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			if i%2 == 0 {
				c, err := tryDial(t, s.smtp())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.conn.Close()
				_, _, _ = c.try("EHLO client.test")
				_, _, _ = c.try("AUTH PLAIN %s", plain("x", key))
				for n := range mails {
					to := fmt.Sprintf("user%d-%d@rcpt.test", i, n)
					mail, large := letter("a@operator.test", to, "sync"), ""
					if n%3 == 0 {
						mail, large = mail+strings.Repeat(to+"\r\n", 100<<10/len(to)), to
					}
					code, text, err := c.send("a@operator.test", to, mail)
					if err != nil || code != 250 {
						t.Errorf("%d %s, %v", code, text, err)
						return
					}
					note200(acceptedID(text), large)
				}
				return
			}
			for n := range mails {
				var answer accepted
				status, text, err := s.rest(key).do("POST", "/v1/messages", note(fmt.Sprintf("user%d-%d@rcpt.test", i, n), "sync"))
				if err != nil || status != 202 || decode(text, &answer) != nil {
					t.Errorf("%d %s, %v", status, text, err)
					return
				}
				note200(answer.ID, "")
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	s.stop()
	var text []byte
	end := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited`, s.pid))
	eventually(t, patience, "strace has written all", func() bool {
		text, _ = os.ReadFile(trace)
		return end.Match(text)
	})
	calls := parseTrace(t, string(text))
	seen, larges := map[string]bool{}, 0
	for _, c := range calls {
		for _, id := range c.acknowledges() {
			seen[id] = true
			why := durableBefore(calls, writeAheadLog, id, c)
			if to := wanted[id]; to != "" && why == "" {
				larges++
				why = durableBefore(calls, segmentFile, to+`\r\n`+to, c)
			}
			if why != "" {
				t.Errorf("%s was acknowledged although %s", id, why)
			}
		}
	}
	for id := range wanted {
		if !seen[id] {
			t.Errorf("the acknowledgement of %s is not in the trace", id)
		}
	}
	if want := clients / 2 * mails / 3; larges != want {
		t.Errorf("%d large mails in the trace, want %d", larges, want)
	}
	t.Logf("%d acknowledgements in %d system calls", len(seen), len(calls))
}

// call is one system call in a trace. Lines are numbered; a call that others
// interrupted begins and returns on different ones.
type call struct {
	name, args      string
	begun, returned int
	result          int
}

var (
	reWhole      = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += +(-?\d+)`)
	reUnfinished = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	reResumed    = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += +(-?\d+)`)
	// The id of a message in an acknowledgement; with HTTP the first one is the message's.
	reSMTPAck = regexp.MustCompile(`250 2\.0\.0 Accepted as ([0-9a-f-]{36})`)
	reHTTPAck = regexp.MustCompile(`HTTP/1\.1 202 .*?\\"id\\":\\"([0-9a-f-]{36})`)
)

func parseTrace(t *testing.T, text string) []*call {
	t.Helper()
	var calls []*call
	open := map[string]*call{} // by thread
	for n, line := range strings.Split(text, "\n") {
		if m := reUnfinished.FindStringSubmatch(line); m != nil {
			c := &call{name: m[2], args: m[3], begun: n, returned: 1 << 62, result: -1}
			open[m[1]] = c
			calls = append(calls, c)
		} else if m := reResumed.FindStringSubmatch(line); m != nil {
			c := open[m[1]]
			if c == nil || c.name != m[2] {
				t.Fatalf("line %d of the trace resumes what did not begin: %s", n, line)
			}
			c.args += m[3]
			c.returned = n
			c.result, _ = strconv.Atoi(m[4])
		} else if m := reWhole.FindStringSubmatch(line); m != nil {
			result, _ := strconv.Atoi(m[4])
			calls = append(calls, &call{name: m[2], args: m[3], begun: n, returned: n, result: result})
		}
	}
	return calls
}

// acknowledges are the messages that a call tells a client are accepted.
func (c *call) acknowledges() []string {
	if !strings.Contains(c.args, "<TCP:") {
		return nil
	}
	var ids []string
	for _, re := range []*regexp.Regexp{reSMTPAck, reHTTPAck} {
		for _, m := range re.FindAllStringSubmatch(c.args, -1) {
			ids = append(ids, m[1])
		}
	}
	return ids
}

// How the files end that durable things are written to.
const (
	writeAheadLog = "waypost.db-wal>"
	segmentFile   = ".seg>"
)

// on is the file a call is about, if it ends in a certain way.
func (c *call) on(suffix string) (file string, ok bool) {
	before, _, ok := strings.Cut(c.args, suffix)
	return before[strings.LastIndexByte(before, '<')+1:] + suffix, ok
}

func (c *call) syncs() bool { return c.name == "fsync" || c.name == "fdatasync" }

// durableBefore says why what a word stands for was not on the disk when an
// acknowledgement was written, "" if it was.
func durableBefore(calls []*call, suffix, word string, ack *call) string {
	written := false
	for _, w := range calls {
		file, ok := w.on(suffix)
		if !ok || w.syncs() || w.returned >= ack.begun || !strings.Contains(w.args, word) {
			continue
		}
		written = true
		for _, s := range calls {
			if synced, _ := s.on(suffix); s.syncs() && synced == file && s.result == 0 && s.begun > w.returned && s.returned < ack.begun {
				return ""
			}
		}
	}
	if !written {
		return "it was not written to a file " + suffix
	}
	return "no sync of " + suffix + " had returned"
}

func TestTraceIsJudgedRight(t *testing.T) {
	const id = "01234567-89ab-7def-8123-456789abcdef"
	write := `1 pwrite64(9</d/waypost.db-wal>, "..` + id + `..", 8192, 0) = 8192` + "\n"
	sync := "1 fdatasync(9</d/waypost.db-wal>) = 0\n"
	ack := `2 write(8<TCP:[127.0.0.1:1->127.0.0.1:2]>, "250 2.0.0 Accepted as ` + id + `\r\n", 50) = 50` + "\n"
	for name, c := range map[string]struct {
		trace string
		ok    bool
	}{
		"written, synced, acknowledged": {write + sync + ack, true},
		"not synced":                    {write + ack + sync, false},
		"synced before it was written":  {sync + write + ack, false},
		"not written":                   {sync + ack + write, false},
		"sync failed":                   {write + "1 fdatasync(9</d/waypost.db-wal>) = -1 EIO\n" + ack, false},
		"other file synced":             {write + "1 fdatasync(9</d/waypost.db>) = 0\n" + ack, false},
		"sync returned too late": {
			write + "1 fdatasync(9</d/waypost.db-wal> <unfinished ...>\n" + ack + "1 <... fdatasync resumed>) = 0\n", false,
		},
		"sync in time, interrupted": {
			write + "1 fdatasync(9</d/waypost.db-wal> <unfinished ...>\n2 write(1</x>, \"a\", 1) = 1\n1 <... fdatasync resumed>) = 0\n" + ack, true,
		},
	} {
		calls := parseTrace(t, c.trace)
		judged := 0
		for _, a := range calls {
			for _, acked := range a.acknowledges() {
				judged++
				if why := durableBefore(calls, writeAheadLog, acked, a); (why == "") != c.ok {
					t.Errorf("%s: %q", name, why)
				}
			}
		}
		if judged != 1 {
			t.Errorf("%s: %d acknowledgements found", name, judged)
		}
	}
}
