package app

import (
	"net/http"

	"github.com/waypost/waypost/internal/obs"
)

// listenHTTP serves the API, and what load balancers ask.
func (a *App) listenHTTP(string) error {
	listener, err := a.listen(ListenHTTP, a.Config.HTTPAddr)
	if err != nil || listener == nil {
		return err
	}
	ops := obs.Handler(a.Metrics, a.health)
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", ops)
	mux.Handle("GET /readyz", ops)
	a.serveHTTP(ListenHTTP, listener, mux)
	return nil
}
