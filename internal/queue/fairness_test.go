package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/queue"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
)

// hundred gives a queue as many sessions.
func hundred(o *queue.Options) { o.Sessions = 100 }

// hangAll keeps every session to a site of a name that begins so open until ctx ends.
func hangAll(prefix string) func(context.Context, *waypost.Job, int) *waypost.Attempt {
	return func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
		if strings.HasPrefix(j.Site, prefix) {
			hang(ctx, nil)
			return nil
		}
		return delivered(j)
	}
}

// flood gives an operator due mail of some kinds to many sites that hang.
func (w *world) flood(operator string, sites int, kinds ...waypost.Kind) {
	for _, kind := range kinds {
		m := storetest.Mail{OperatorID: operator, Kind: kind}
		for i := range sites {
			for n := range 3 {
				m.To = append(m.To, fmt.Sprintf("u%d@hang%d.%s.test", n, i, operator))
			}
		}
		w.row(m)
	}
}

// mustStart accepts a mail of each kind for an operator and expects it delivered.
func (w *world) mustStart(operator string, within time.Duration) {
	w.t.Helper()
	for _, kind := range []waypost.Kind{waypost.KindSecurity, waypost.KindEvent, waypost.KindReport} {
		a, _ := w.accept(storetest.Mail{OperatorID: operator, Kind: kind, To: []string{"u@fine.test"}})
		w.within(within, fmt.Sprintf("%s of %s goes, %d sessions are taken", kind, operator, w.deliver.underWay()),
			func() bool { return w.only(a).State == waypost.Delivered })
	}
}

func TestOperatorWithHangingSitesInTwoLanesLeavesTheOthersTheirTurns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(hangAll("hang"))
		w.flood("flood", 100, waypost.KindEvent, waypost.KindReport)
		w.run()
		w.pass(20 * time.Second)
		if n := w.deliver.underWay(); n < 50 || n > 65 {
			t.Errorf("%d of 100 sessions hang", n)
		}
		w.mustStart("other", 2*time.Second)
		// Its own alarms go, too.
		a, _ := w.accept(storetest.Mail{OperatorID: "flood", Kind: waypost.KindSecurity, To: []string{"u@fine.test"}})
		w.settled()
		if d := w.only(a); d.State != waypost.Delivered {
			t.Errorf("%+v", d)
		}
	}, hundred)
}

func TestManyOperatorsWithHangingSitesLeaveANewcomerItsTurn(t *testing.T) {
	for name, kinds := range map[string][]waypost.Kind{
		"one lane":  {waypost.KindEvent},
		"two lanes": {waypost.KindEvent, waypost.KindReport},
		"all lanes": {waypost.KindSecurity, waypost.KindEvent, waypost.KindReport},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.deliver.do(hangAll("hang"))
				for i := range 10 {
					w.flood(fmt.Sprint("flood", i), 30, kinds...)
				}
				w.run()
				w.pass(20 * time.Second)
				if n := w.deliver.underWay(); n < 50 {
					t.Errorf("%d of 100 sessions hang", n)
				}
				for i := range 4 {
					w.mustStart(fmt.Sprint("newcomer", i), 2*time.Second)
				}
			}, hundred)
		})
	}
}

func TestNewcomersReportGoesThroughTheReserveOfItsLane(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.deliver.do(hangAll("hang"))
		// More of them than sessions that are reserved for nobody.
		for i := range 70 {
			w.flood(fmt.Sprint("flood", i), 5, waypost.KindEvent)
		}
		w.run()
		w.pass(20 * time.Second)
		if n := w.deliver.underWay(); n != 65 {
			t.Errorf("%d sessions hang: 20 are reserved for events and 45 for no lane", n)
		}
		for _, kind := range []waypost.Kind{waypost.KindReport, waypost.KindSecurity} {
			a, _ := w.accept(storetest.Mail{OperatorID: "other", Kind: kind, To: []string{"u@fine.test"}})
			w.settled()
			if d := w.only(a); d.State != waypost.Delivered {
				t.Errorf("%s: %+v", kind, d)
			}
		}
	}, hundred)
}

// An operator that has used up its share does not keep a slot of a site from others,
// although its mail was first in line there.
func TestOperatorWithoutASessionLeftHoldsUpNobodyAtASite(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.deliver.do(func(ctx context.Context, j *waypost.Job, _ int) *waypost.Attempt {
			switch {
			case strings.HasPrefix(j.Site, "hang"):
				hang(ctx, nil)
				return nil
			case j.Account.ID == "flood":
				hang(ctx, release)
			}
			return delivered(j)
		})
		// The one session of the site is the flooder's, and it is next in line as well.
		w.run()
		for range 3 {
			w.accept(storetest.Mail{OperatorID: "flood", To: []string{"u@shared.test"}})
		}
		w.settled()
		w.flood("flood", 100, waypost.KindEvent)
		w.pass(20 * time.Second)
		a, _ := w.accept(storetest.Mail{OperatorID: "other", To: []string{"u@shared.test"}})
		w.settled()
		close(release)
		w.within(3*time.Second, "the other's mail goes", func() bool { return w.only(a).State == waypost.Delivered })
	}, hundred, func(o *queue.Options) { o.SiteSessions = 1 })
}

// Memory is shared like sessions: big mail that hangs does not keep others' from being
// read, nor does a mail that is larger than there is room for.
func TestBigMailToHangingSitesLeavesTheOthersMemory(t *testing.T) {
	for name, giant := range map[string]int{"big": 0, "larger than all the memory": 40 << 10} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.deliver.do(hangAll("hang"))
				for i := range 60 {
					for _, kind := range []waypost.Kind{waypost.KindEvent, waypost.KindReport} {
						m := storetest.Mail{OperatorID: "flood", Kind: kind, Body: strings.Repeat("x", 2<<10), To: []string{fmt.Sprintf("u@hang%d.test", i)}}
						if giant > 0 && i == 10 {
							m.Body = strings.Repeat("x", giant)
						}
						w.row(m)
					}
				}
				w.run()
				w.pass(20 * time.Second)
				for i := range 3 {
					for _, kind := range []waypost.Kind{waypost.KindEvent, waypost.KindReport} {
						a := w.row(storetest.Mail{OperatorID: fmt.Sprint("other", i), Kind: kind, Body: strings.Repeat("x", 500)})
						w.within(3*time.Second, string(kind)+" of another goes", func() bool { return w.only(a).State == waypost.Delivered })
					}
				}
			}, hundred, func(o *queue.Options) { o.Budget = 64 << 10 })
		})
	}
}
