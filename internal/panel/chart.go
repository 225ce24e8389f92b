package panel

import (
	"time"

	"github.com/waypost/waypost/internal/panel/view"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/waypost"
)

// span is a period that a chart shows, in its parts.
type span struct {
	name   string      // "24h", "7d" or "30d"
	starts []time.Time // of each hour or day, in the zone of who looks
	end    time.Time
}

// span is the period that the query asks for, up to now.
func (q *request) span(now time.Time) span {
	s := span{name: q.URL.Query().Get("period")}
	now = now.In(q.Zone)
	days := 30
	switch s.name {
	case "7d":
		days = 7
	case "30d":
	default:
		s.name = "24h"
		s.end = now.Truncate(time.Hour).Add(time.Hour)
		for i := range 24 {
			s.starts = append(s.starts, s.end.Add(time.Duration(i-24)*time.Hour))
		}
		return s
	}
	year, month, day := now.Date()
	for i := range days { // a day may have 23 or 25 hours
		s.starts = append(s.starts, time.Date(year, month, day-days+1+i, 0, 0, 0, 0, q.Zone))
	}
	s.end = time.Date(year, month, day+1, 0, 0, 0, 0, q.Zone)
	return s
}

// from is the beginning of the first hour of the roll-up that counts.
func (s span) from() time.Time { return s.starts[0] }

// place is the part that an hour of the roll-up belongs to: the one it begins in.
func (s span) place(hour time.Time) (i int, ok bool) {
	if hour.Before(s.starts[0]) || !hour.Before(s.end) {
		return 0, false
	}
	for i+1 < len(s.starts) && !hour.Before(s.starts[i+1]) {
		i++
	}
	return i, true
}

// chart adds hours up to the parts of a period.
func (q *request) chart(title, path string, s span, hours []store.HourCount) (c view.Chart, sum store.Counts) {
	parts := make([]store.Counts, len(s.starts))
	for _, h := range hours {
		if i, ok := s.place(h.Hour); ok {
			parts[i].Add(h.Counts)
			sum.Add(h.Counts)
		}
	}
	c = view.Chart{Title: title, Path: path, Period: s.name, Sum: chartCounts(sum), About: q.T("chart.zone", "Zone", q.Zone.String())}
	for i, start := range s.starts {
		row := view.ChartRow{Label: q.Date(start), Title: q.Date(start), Counts: chartCounts(parts[i])}
		if s.name == "24h" {
			row.Label, row.Title = start.Format("15:04"), q.Moment(start)
		}
		c.Rows = append(c.Rows, row)
	}
	return c, sum
}

func chartCounts(c store.Counts) []view.ChartCount {
	list := []view.ChartCount{{Value: c.Accepted}}
	for _, s := range waypost.FinalStates() {
		list = append(list, view.ChartCount{State: s, Value: *c.Of(s)})
	}
	return list
}

// rate is the share of mail that was delivered of what was tried to the end. ok is false
// if nothing was.
func rate(c store.Counts) (share float64, ok bool) {
	tried := c.Delivered + c.Bounced + c.Expired + c.Uncertain
	if tried <= 0 {
		return 0, false
	}
	return float64(max(0, c.Delivered)) / float64(tried), true
}
