package deliver

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/classify"
	"github.com/waypost/waypost/internal/dns"
	"github.com/waypost/waypost/internal/waypost"
)

// alone begins the name of hosts that one domain has for itself. No name of a host has
// such a letter, so nobody can choose hosts that go by the same.
const alone = "= "

// resolved takes in what the site's MX hosts go by together: domains that have the same
// share sessions, and the queue's limits. An error says that the job must not go on now.
func (t *try) resolved(name string) error {
	t.mx = name
	if t.job.Resolved == nil || strings.HasPrefix(name, alone) {
		return nil
	}
	return t.job.Resolved(name)
}

// nameOf is what the site's hosts go by together.
func (t *try) nameOf(hosts []dns.Host) string {
	// Ourselves: other domains that lead here must not get a session past the guard. And
	// of too many hosts some are taken by chance.
	if t.job.Site != t.d.o.ReturnPath.Domain && len(hosts) < dns.MaxHosts {
		if name := commonName(hosts); name != "" {
			return name
		}
	}
	return alone + t.job.Site
}

// longestName bounds what a list of hosts is called.
const longestName = 200

// commonName is the same for two lists of the same hosts that can be used, and for no
// others; "" if none can.
func commonName(hosts []dns.Host) string {
	names := make([]string, 0, len(hosts))
	for _, h := range hosts {
		if h.Unusable == "" {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	name := strings.Join(names, " ")
	if len(name) > longestName {
		sum := sha256.Sum256([]byte(name))
		name = name[:longestName/2] + "... " + hex.EncodeToString(sum[:])
	}
	return name
}

// asked reports whether the other side asks for less mail. Its other hosts would say the
// same, and to ask them all is not less. Only connections are often counted host by host.
func (t *try) asked(in classify.Input) bool {
	if in.Reply.Code == 0 {
		return false
	}
	in.Route = t.route
	s := t.d.o.Rules.Classify(in).Slow
	return s.OfSite() && s.How != waypost.SlowConnections
}

// names remembers for a while what the MX hosts of domains go by together, so that mail
// for which a session is kept needs no look-up.
type names struct {
	keep time.Duration
	most int
	mu   sync.Mutex
	by   map[string]name
}

type name struct {
	name string
	till time.Time
}

func newNames(keep time.Duration, most int) *names {
	return &names{keep: keep, most: most, by: map[string]name{}}
}

func (n *names) add(domain, as string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.by) >= n.most {
		clear(n.by)
	}
	n.by[domain] = name{as, time.Now().Add(n.keep)}
}

// of returns what a domain's hosts go by, "" if that is not known.
func (n *names) of(domain string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, ok := n.by[domain]
	if ok && !time.Now().Before(known.till) {
		delete(n.by, domain)
		return ""
	}
	return known.name
}
