package obs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/obs"
	"github.com/waypost/waypost/internal/waypost"
)

// get asks the handler over a real connection and returns code and body.
func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func scrape(t *testing.T, m *obs.Metrics) string {
	t.Helper()
	code, body := get(t, obs.Handler(m, obs.NewHealth(discard())), "GET", "/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d\n%s", code, body)
	}
	return body
}

func record(m *obs.Metrics) {
	m.Accepted("smtp", 3*time.Millisecond)
	m.Finished(waypost.Delivered, waypost.RouteDirect, waypost.LaneAlarm, 2*time.Second)
	m.Finished(waypost.Suppressed, "", waypost.LaneReport, time.Hour)
	m.Attempt(waypost.RouteRelay, waypost.OutcomeTemporary, "quota")
	m.QueueDepth(waypost.LaneBulk, 1_000_000)
	m.SessionsOpen(obs.Inbound, 2)
	m.SessionsOpen(obs.Inbound, 1)
	m.Committed(40, 2*time.Millisecond)
	m.Panicked()
	m.RelaysFailing(2)
	m.SitesSlowed(5, 2)
}

func TestEveryEventShowsInTheMetrics(t *testing.T) {
	m := obs.NewMetrics("1.2.3")
	record(m)
	got := scrape(t, m)
	for _, line := range []string{
		`waypost_messages_accepted_total{source="smtp"} 1`,
		`waypost_messages_accepted_total{source="api"} 0`,
		`waypost_accept_seconds_bucket{le="0.0025"} 0`,
		`waypost_accept_seconds_bucket{le="0.005"} 1`,
		`waypost_deliveries_finished_total{lane="alarm",route="direct",state="delivered"} 1`,
		`waypost_deliveries_finished_total{lane="report",route="",state="suppressed"} 1`,
		`waypost_delivery_seconds_bucket{lane="alarm",le="2.5"} 1`,
		`waypost_delivery_seconds_count{lane="report"} 0`,
		`waypost_attempts_total{cause="quota",outcome="temporary",route="relay"} 1`,
		`waypost_queue_deliveries{lane="bulk"} 1e+06`,
		`waypost_queue_deliveries{lane="alarm"} 0`,
		`waypost_smtp_sessions{side="inbound"} 1`,
		`waypost_smtp_sessions{side="outbound"} 0`,
		`waypost_store_group_size_sum 40`,
		`waypost_store_commit_seconds_count 1`,
		`waypost_panics_recovered_total 1`,
		`waypost_relays_failing 2`,
		`waypost_sites_slowed{how="less"} 3`,
		`waypost_sites_slowed{how="suspended"} 2`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	for _, name := range []string{"go_goroutines ", "process_cpu_seconds_total ", `version="1.2.3"} 1`} {
		if !strings.Contains(got, name) {
			t.Errorf("lacks %s", name)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestTwoServersInOneProcessCountApart(t *testing.T) {
	a, b := obs.NewMetrics("x"), obs.NewMetrics("x")
	a.Panicked()
	if got := scrape(t, b); !strings.Contains(got, "waypost_panics_recovered_total 0\n") {
		t.Error("the other one counted")
	}
}

func TestNoMetricsCountNothing(*testing.T) {
	record(nil) // must not panic
}
