package verify

import (
	"strings"
	"time"

	"github.com/waypost/waypost/internal/waypost"
)

// Watch is what is remembered of a domain from check to check.
type Watch struct {
	Step   int            `json:"step,omitempty"`   // how far the back-off has come
	Doubts map[Part]Doubt `json:"doubts,omitempty"` // what was right once and is not now
}

// Doubt is a record that went away or became wrong.
type Doubt struct {
	Since  time.Time `json:"since"`
	Checks int       `json:"checks"`         // in a row that saw it so
	Told   bool      `json:"told,omitempty"` // it was confirmed, and its consequences drawn
}

// A doubt is confirmed when it was seen so many times over so long a time: name servers
// that are being changed, or one of several that is behind, are no drift.
const (
	confirmChecks = 3
	confirmAfter  = 15 * time.Minute
)

// How often a domain is checked.
const (
	watchedEvery = time.Minute     // while somebody looks
	lookLasts    = 2 * time.Minute // how long a look counts
	unsureEvery  = 5 * time.Minute
	driftedEvery = time.Hour
	settledEvery = 24 * time.Hour
)

// backOff is how long the next checks of an unfinished domain are apart: providers
// publish within minutes, and caches see it within half an hour to four hours.
func backOff() []time.Duration {
	m := time.Minute
	return []time.Duration{m, m, 2 * m, 5 * m, 10 * m, 20 * m, 30 * m, 30 * m, 60 * m, 120 * m, 240 * m}
}

// Change is what follows from a check.
type Change struct {
	Domain waypost.Domain // with Proven, Authorized and ReturnPath as they are to be
	Watch  Watch
	Next   time.Time
	Events []waypost.DomainEvent
}

// Judge draws the conclusions of a check. signing is the part of the DKIM record that
// mail is signed with now, looked when somebody last looked at the domain. Nothing ever
// follows from a part whose verdict is Unknown.
func Judge(d waypost.Domain, w Watch, r Report, signing Part, looked, now time.Time) Change {
	j := &judge{c: Change{Domain: d, Watch: Watch{Step: w.Step, Doubts: map[Part]Doubt{}}}, now: now}
	d = j.c.Domain
	wasAuthorized := !d.Authorized.IsZero()

	for _, item := range r.Items {
		j.doubt(item, w.Doubts)
	}
	if own := r.Item(Ownership); own.Verdict == OK && d.Proven.IsZero() {
		j.c.Domain.Proven = now
		j.event(waypost.DomainProven, "")
	} else if !d.Proven.IsZero() && j.confirmed(Ownership) {
		j.c.Domain.Proven = time.Time{}
		j.lapse("the ownership record is gone")
	}
	switch {
	case j.c.Domain.Proven.IsZero():
		j.lapse("ownership is not proven any more")
	case r.Ready() && !wasAuthorized:
		j.c.Domain.Authorized = now
		j.event(waypost.DomainAuthorized, "")
	case wasAuthorized && j.confirmed(signing):
		j.lapse("the DKIM record that mail is signed with is gone")
	}
	switch r.Item(ReturnPath).Verdict {
	case OK:
		j.c.Domain.ReturnPath = true
	case Missing, Wrong:
		j.c.Domain.ReturnPath = false
	case Unknown: // it stays as it was
	}
	if len(j.c.Watch.Doubts) == 0 {
		j.c.Watch.Doubts = nil
	}
	j.schedule(looked)
	return j.c
}

type judge struct {
	c   Change
	now time.Time
}

func (j *judge) event(t waypost.DomainEventType, detail string) {
	d := j.c.Domain
	j.c.Events = append(j.c.Events, waypost.DomainEvent{
		OperatorID: d.OperatorID, DomainID: d.ID, Name: d.Name, Type: t, Actor: "policy", Detail: detail, At: j.now,
	})
}

// doubt carries what is known about a part from check to check. What was never right is
// still to be done, and no doubt.
func (j *judge) doubt(item Item, before map[Part]Doubt) {
	d := j.c.Domain
	doubt, doubted := before[item.Part]
	known := doubted || !d.Authorized.IsZero() || item.Part == Ownership && !d.Proven.IsZero()
	switch {
	case !known || !item.Required:
	case item.Verdict == Unknown:
		if doubted {
			j.c.Watch.Doubts[item.Part] = doubt
		}
	case item.Verdict == OK:
		if doubt.Told {
			j.event(waypost.DomainMended, describe(item.Part)+driftIs+driftMended)
		}
	default:
		if !doubted {
			doubt.Since = j.now
		}
		doubt.Checks++
		if !doubt.Told && doubt.Checks >= confirmChecks && j.now.Sub(doubt.Since) >= confirmAfter {
			doubt.Told = true
			j.event(waypost.DomainDrifted, describe(item.Part)+driftIs+string(item.Verdict))
		}
		j.c.Watch.Doubts[item.Part] = doubt
	}
}

func (j *judge) confirmed(p Part) bool { return j.c.Watch.Doubts[p].Told }

// lapse ends the authorization, if there is one.
func (j *judge) lapse(why string) {
	if !j.c.Domain.Authorized.IsZero() {
		j.c.Domain.Authorized = time.Time{}
		j.event(waypost.DomainLapsed, why)
	}
}

// schedule says when to check again.
func (j *judge) schedule(looked time.Time) {
	w := &j.c.Watch
	unsure, drifted := false, false
	for _, d := range w.Doubts {
		unsure, drifted = unsure || !d.Told, drifted || d.Told
	}
	authorized := !j.c.Domain.Authorized.IsZero()
	if len(j.c.Events) > 0 {
		w.Step = 0 // something moved: more may follow soon
	}
	wait, steps := settledEvery, backOff()
	switch {
	case authorized && unsure:
		wait = unsureEvery
	case authorized && drifted:
		wait = driftedEvery
	case authorized:
	case w.Step < len(steps):
		wait = steps[w.Step]
		w.Step++
	}
	if j.now.Sub(looked) < lookLasts {
		wait = min(wait, watchedEvery)
	}
	j.c.Next = j.now.Add(wait)
}

// What stands between record and verdict in the details of events about drift.
const (
	driftIs     = " is "
	driftMended = "right again"
)

// ReadDrift takes the detail of a drifted or a mended event apart, for who says it in
// another language: which record it is about, and what was found.
func ReadDrift(detail string) (p Part, v Verdict, ok bool) {
	for _, p := range []Part{Ownership, SPFPart, DKIM1, DKIM2, DMARCPart, ReturnPath} {
		if found, ok := strings.CutPrefix(detail, describe(p)+driftIs); ok {
			if found == driftMended {
				return p, OK, true
			}
			return p, Verdict(found), true
		}
	}
	return "", "", false
}

func describe(p Part) string {
	switch p {
	case Ownership:
		return "the ownership record"
	case SPFPart:
		return "the SPF record"
	case DKIM1:
		return "the first DKIM record"
	case DKIM2:
		return "the second DKIM record"
	case DMARCPart:
		return "the DMARC record"
	default:
		return "the return path"
	}
}
