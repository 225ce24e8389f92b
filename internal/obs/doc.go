// Package obs is what the outside sees of a running server: log, metrics, health.
//
//  1. NewLog makes the logger. Its lines go through a buffer, because one write per
//     line costs more than the line; nothing waits there longer than FlushInterval,
//     and an error never waits. Close writes the rest.
//  2. NewMetrics makes the Prometheus registry and every series of the mail path.
//     No label names an operator, an address or a host: their number is bounded by
//     the code. A nil *Metrics counts nothing, so tests need none.
//  3. Health collects named checks; Handler serves /metrics, /healthz (the process
//     answers) and /readyz (every check passes).
//  4. Notify tells systemd when the server is ready and when it stops.
package obs
