package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/waypost"
	"github.com/waypost/waypost/internal/webhook"
)

// BenchmarkDrain tells 45 endpoints of as many operators what waits for them, one event in a
// call, alone and beside five that never answer.
func BenchmarkDrain(b *testing.B) {
	b.Run("45 endpoints", func(b *testing.B) { drain(b, 0) })
	b.Run("45 endpoints and 5 that hang", func(b *testing.B) { drain(b, 5) })
}

func drain(b *testing.B, hanging int) {
	const endpoints, events = 45, 100 // of each
	for range b.N {
		b.StopTimer()
		w := newWorld(b, storetest.OpenSQLite(b), func(o *webhook.Options) { o.Timeout = 15 * time.Second })
		var got atomic.Int64
		all := make(chan struct{})
		good := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			rw.WriteHeader(http.StatusNoContent)
			if got.Add(1) == endpoints*events {
				close(all)
			}
		}))
		release := make(chan struct{})
		bad := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			select {
			case <-release:
			case <-req.Context().Done():
			}
		}))
		for i := range endpoints + hanging {
			url := good.URL
			if i >= endpoints {
				url = bad.URL
			}
			operator := waypost.NewID()
			w.hook(b, url, func(h *waypost.Webhook) { h.OperatorID = operator })
			for range events {
				a := storetest.Mail{OperatorID: operator}.Accepting()
				if err := w.db.Store.Accept(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.StartTimer()
		w.start(b)
		<-all
		b.StopTimer()
		close(release)
		w.stop(b)
		good.Close()
		bad.Close()
	}
	b.ReportMetric(float64(endpoints*events*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}
