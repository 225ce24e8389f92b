package view

import (
	"encoding/json"
	"fmt"

	"github.com/a-h/templ"

	"github.com/waypost/waypost/internal/waypost"
)

// Chart is mail by outcome over time, drawn by a script and told in a table.
type Chart struct {
	Title  string
	Path   string // of the page, for the choice of a period
	Period string // "24h", "7d" or "30d"
	Rows   []ChartRow
	Sum    []ChartCount // as those of a row
	About  string       // which time zone the hours and days are in
}

// ChartRow is an hour or a day.
type ChartRow struct {
	Label  string       // for the axis
	Title  string       // for the table
	Counts []ChartCount // what was accepted, then each final state
}

// ChartCount is how much ended in a state, or was accepted for "".
type ChartCount struct {
	State waypost.State
	Value int64
}

// chartPeriods are the periods one can choose.
func chartPeriods() []string { return []string{"24h", "7d", "30d"} }

// data is what the script draws, as JSON.
func (c Chart) data(p Page) (string, error) {
	type series struct {
		State  waypost.State `json:"state"`
		Label  string        `json:"label"`
		Values []int64       `json:"values"`
	}
	out := struct {
		Time   string   `json:"time"`
		Locale string   `json:"locale"`
		Labels []string `json:"labels"`
		Titles []string `json:"titles"`
		Series []series `json:"series"`
	}{Time: p.T("chart.time"), Locale: p.Code}
	for _, s := range waypost.FinalStates() {
		out.Series = append(out.Series, series{State: s, Label: p.Label("state", string(s))})
	}
	for _, row := range c.Rows {
		out.Labels, out.Titles = append(out.Labels, row.Label), append(out.Titles, row.Title)
		for _, n := range row.Counts {
			for i := range out.Series {
				if out.Series[i].State == n.State {
					out.Series[i].Values = append(out.Series[i].Values, max(0, n.Value)) // a late bounce takes a delivery back
				}
			}
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		return "", fmt.Errorf("data of a chart: %w", err)
	}
	return string(text), nil
}

// Empty reports whether there was no mail at all.
func (c Chart) Empty() bool {
	for _, row := range c.Rows {
		for _, n := range row.Counts {
			if n.Value != 0 {
				return false
			}
		}
	}
	return true
}

// currentIf marks the link that leads to where one is.
func currentIf(so bool) templ.Attributes {
	if !so {
		return templ.Attributes{}
	}
	return templ.Attributes{"aria-current": "true"}
}
