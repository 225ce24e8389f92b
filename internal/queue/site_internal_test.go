package queue

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSitesAreForgottenInTime(t *testing.T) {
	s, now := newSites(), time.Now()
	s.learn("a.test", "mx.test", now)
	s.learn("b.test", "mx.test", now.Add(sitesKept-time.Minute))
	if s.name("a.test", now) != "mx mx.test" || s.domains["mx mx.test"] != 2 {
		t.Errorf("%q of %v", s.name("a.test", now), s.domains)
	}
	now = now.Add(sitesKept)
	if s.name("a.test", now) != "site a.test" || s.name("b.test", now) != "mx mx.test" || s.domains["mx mx.test"] != 1 {
		t.Errorf("%q, %q, %v", s.name("a.test", now), s.name("b.test", now), s.domains)
	}
}

func TestSitesAreBounded(t *testing.T) {
	s, now := newSites(), time.Now()
	for i := range maxSites + 10 {
		s.learn(fmt.Sprint(i), fmt.Sprint("mx", i%7), now)
	}
	if len(s.of) > maxSites || len(s.of) < maxSites/2 || len(s.domains) != 7 {
		t.Errorf("%d domains of %d", len(s.of), len(s.domains))
	}
}

// However domains come and go, every destination knows how many it has.
func TestSitesCountTheirDomains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now := newSites(), time.Now()
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			domain := rapid.StringMatching("[a-e]").Draw(t, "domain")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours")) * time.Hour)
			case 1:
				s.name(domain, now)
			default:
				s.learn(domain, rapid.SampledFrom([]string{"x", "y", "z z"}).Draw(t, "mx"), now)
			}
			count := map[string]int{}
			for _, m := range s.of {
				count[m.name]++
			}
			if fmt.Sprint(count) != fmt.Sprint(s.domains) {
				t.Fatalf("%v, counted as %v", count, s.domains)
			}
		}
	})
}
