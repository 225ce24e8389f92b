package obs

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waypost/waypost/internal/waypost"
)

// Side says who opened a session.
type Side string

// The sides.
const (
	Inbound  Side = "inbound"  // a client of ours submits
	Outbound Side = "outbound" // we deliver
)

// Metrics are the series of the mail path in a registry of their own. All methods
// are safe for concurrent use and do nothing on a nil *Metrics.
type Metrics struct {
	registry     *prometheus.Registry
	accepted     *prometheus.CounterVec
	finished     *prometheus.CounterVec
	attempts     *prometheus.CounterVec
	acceptTook   prometheus.Histogram
	latency      *prometheus.HistogramVec
	depth        *prometheus.GaugeVec
	sessions     *prometheus.GaugeVec
	groupSize    prometheus.Histogram
	commitTook   prometheus.Histogram
	panics       prometheus.Counter
	findings     prometheus.Gauge
	smtpd        *prometheus.CounterVec
	failing      prometheus.Gauge
	slowed       *prometheus.GaugeVec
	hooks        *prometheus.HistogramVec
	hookEvents   prometheus.Gauge
	hooksFailing prometheus.Gauge
}

// NewMetrics returns the metrics of a server of a version, all at zero, with those
// of the Go runtime, the process and the build.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waypost_messages_accepted_total",
			Help: "Messages accepted durably, by source.",
		}, []string{"source"}),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waypost_deliveries_finished_total",
			Help: "Deliveries that entered a final state, by state, last route and lane.",
		}, []string{"state", "route", "lane"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waypost_attempts_total",
			Help: "Delivery attempts, by route, outcome and cause.",
		}, []string{"route", "outcome", "cause"}),
		acceptTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "waypost_accept_seconds",
			Help:    "Time from a whole submission to its durable acceptance.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "waypost_delivery_seconds",
			Help:    "Time from acceptance (or send_at, if later) to delivery, by lane.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600},
		}, []string{"lane"}),
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waypost_queue_deliveries",
			Help: "Deliveries in state queued, by lane.",
		}, []string{"lane"}),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waypost_smtp_sessions",
			Help: "Open SMTP sessions, by who opened them.",
		}, []string{"side"}),
		groupSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "waypost_store_group_size",
			Help:    "Changes committed together in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		commitTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "waypost_store_commit_seconds",
			Help:    "Time a group-commit transaction takes, with its fsync.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waypost_panics_recovered_total",
			Help: "Panics that were recovered: each is a bug.",
		}),
		findings: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waypost_audit_findings",
			Help: "What the last audit of the conservation law found: anything but 0 is an alarm.",
		}),
		smtpd: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "waypost_smtpd_total",
			Help: "What happened at the SMTP listeners: connections, logins and messages, by result.",
		}, []string{"what", "result"}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waypost_relays_failing",
			Help: "Relays that refuse us or cannot be reached, so that their mail waits.",
		}),
		slowed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "waypost_sites_slowed",
			Help: "Sites and relays that asked this node for less mail: how = suspended gets none for now, less gets some.",
		}, []string{"how"}),
	}
	m.hooks = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "waypost_webhook_seconds",
		Help:    "Attempts of webhook calls and how long they took, by what became of the call: delivered, waiting to be repeated, failed for good.",
		Buckets: []float64{.01, .05, .25, 1, 5, 15},
	}, []string{"result"})
	m.hookEvents = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "waypost_webhook_events_waiting",
		Help: "Events that webhooks are still to be told, counted up to 100,000.",
	})
	m.hooksFailing = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "waypost_webhooks_failing",
		Help: "Webhooks whose endpoint did not take its last call.",
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "waypost_build_info",
		Help:        "Always 1; the labels tell what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.accepted, m.finished, m.attempts, m.acceptTook, m.latency, m.depth, m.sessions,
		m.groupSize, m.commitTook, m.panics, m.findings, m.smtpd, m.failing, m.slowed, m.hooks, m.hookEvents, m.hooksFailing, build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// What exists at zero can be alarmed on before it first happens.
	for _, lane := range waypost.Lanes() {
		m.depth.WithLabelValues(string(lane))
		m.latency.WithLabelValues(string(lane))
	}
	for _, source := range []string{"smtp", "api", "panel", "notice", "forward", "test"} {
		m.accepted.WithLabelValues(source)
	}
	m.SitesSlowed(0, 0)
	for _, state := range []waypost.WebhookState{waypost.WebhookDelivered, waypost.WebhookWaiting, waypost.WebhookFailed} {
		m.hooks.WithLabelValues(string(state))
	}
	for _, side := range []Side{Inbound, Outbound} {
		m.sessions.WithLabelValues(string(side))
	}
	return m
}

// Registry returns the registry, for series that are read when asked for.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Accepted counts an accepted message. Source is that of the submission: "smtp",
// "api", "panel", "notice", "forward", "test".
func (m *Metrics) Accepted(source string, took time.Duration) {
	if m == nil {
		return
	}
	m.accepted.WithLabelValues(source).Inc()
	m.acceptTook.Observe(took.Seconds())
}

// Finished counts a delivery that entered a final state. Route is "" if there was no
// attempt. Since it was accepted, or was to be sent if later, age has gone by; it is
// recorded for state delivered only.
func (m *Metrics) Finished(state waypost.State, route waypost.RouteKind, lane waypost.Lane, age time.Duration) {
	if m == nil {
		return
	}
	m.finished.WithLabelValues(string(state), string(route), string(lane)).Inc()
	if state == waypost.Delivered {
		m.latency.WithLabelValues(string(lane)).Observe(age.Seconds())
	}
}

// Attempt counts an attempt. Cause is one of the few of package classify, "" for
// none.
func (m *Metrics) Attempt(route waypost.RouteKind, outcome waypost.Outcome, cause string) {
	if m == nil {
		return
	}
	m.attempts.WithLabelValues(string(route), string(outcome), cause).Inc()
}

// QueueDepth sets the number of queued deliveries of a lane.
func (m *Metrics) QueueDepth(lane waypost.Lane, deliveries int64) {
	if m == nil {
		return
	}
	m.depth.WithLabelValues(string(lane)).Set(float64(deliveries))
}

// SessionsOpen sets the number of open SMTP sessions of a side.
func (m *Metrics) SessionsOpen(side Side, n int) {
	if m == nil {
		return
	}
	m.sessions.WithLabelValues(string(side)).Set(float64(n))
}

// Connection counts a connection to an SMTP listener by what became of it.
func (m *Metrics) Connection(result string) { m.inbound("connection", result) }

// Login counts an AUTH by its result.
func (m *Metrics) Login(result string) { m.inbound("login", result) }

// Message counts a DATA command by its result.
func (m *Metrics) Message(result string, _ int64) { m.inbound("message", result) }

func (m *Metrics) inbound(what, result string) {
	if m == nil {
		return
	}
	m.smtpd.WithLabelValues(what, result).Inc()
}

// AuditFindings sets how many findings the last audit had.
func (m *Metrics) AuditFindings(n int) {
	if m == nil {
		return
	}
	m.findings.Set(float64(n))
}

// Committed records a group commit of so many changes.
func (m *Metrics) Committed(changes int, took time.Duration) {
	if m == nil {
		return
	}
	m.groupSize.Observe(float64(changes))
	m.commitTook.Observe(took.Seconds())
}

// Panicked counts a recovered panic.
func (m *Metrics) Panicked() {
	if m == nil {
		return
	}
	m.panics.Inc()
}

// SitesSlowed sets the number of sites and relays that are slowed, those that are
// suspended included, and of the latter alone.
func (m *Metrics) SitesSlowed(slowed, suspended int) {
	if m == nil {
		return
	}
	m.slowed.WithLabelValues("less").Set(float64(slowed - suspended))
	m.slowed.WithLabelValues("suspended").Set(float64(suspended))
}

// RelaysFailing sets the number of failing relays.
func (m *Metrics) RelaysFailing(relays int) {
	if m == nil {
		return
	}
	m.failing.Set(float64(relays))
}

// WebhookCalled records an attempt of a webhook call and what became of the call.
func (m *Metrics) WebhookCalled(result waypost.WebhookState, took time.Duration) {
	if m == nil {
		return
	}
	m.hooks.WithLabelValues(string(result)).Observe(took.Seconds())
}

// WebhookLoad sets how many events wait for webhooks and how many endpoints fail.
func (m *Metrics) WebhookLoad(events, failing int64) {
	if m == nil {
		return
	}
	m.hookEvents.Set(float64(events))
	m.hooksFailing.Set(float64(failing))
}

// handler serves the registry in the formats Prometheus asks for.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
