package system_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/internal/store/system"
	"github.com/waypost/waypost/internal/waypost"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// BenchmarkAcceptFinish is the fast path of the store: 50 producers each accept a
// mail of 5 KiB that is leased at once, and its delivery is finished right after.
// cpu-µs/op is what this process used, without PostgreSQL's own.
func BenchmarkAcceptFinish(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { acceptFinish(b, storetest.OpenSQLite(b)) })
	b.Run("postgres", func(b *testing.B) { acceptFinish(b, storetest.OpenPostgres(b)) })
}

// cpu is the time this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func acceptFinish(b *testing.B, db *storetest.DB) {
	s, y := db.Store, db.System
	body := make([]byte, 5000)
	header := make([]byte, 600)
	var finishing sync.WaitGroup
	b.SetParallelism(25)
	b.ResetTimer()
	began := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			now := time.Now()
			id := waypost.NewIDAt(now)
			d := waypost.Delivery{
				ID: waypost.NewIDAt(now), OperatorID: "op", MessageID: id, Recipient: "someone@example.test", Site: "example.test",
				Kind: waypost.KindEvent, Lane: waypost.LaneTransactional, State: waypost.Queued, Attempts: 1,
				NextAt: now, Expires: now.Add(time.Hour), Lease: "me", Epoch: 1, Created: now, Updated: now,
			}
			err := s.Accept(context.Background(), &store.Accepting{
				OperatorID: "op", At: now, EraseAt: now.Add(time.Hour),
				Messages: []waypost.Message{{
					ID: id, OperatorID: "op", Kind: d.Kind, Lane: d.Lane, Subject: "Geofence entered", HeaderID: "<" + id + "@x>",
					Size: 5600, Created: now, Expires: d.Expires, Header: header, BodyID: id,
				}},
				Bodies: []store.Body{{ID: id, Data: body}}, Deliveries: []waypost.Delivery{d},
			})
			if err != nil {
				b.Error(err)
				return
			}
			finishing.Add(1)
			f := &system.Finish{
				Delivery: d, State: waypost.Delivered, Attempts: 1, Route: waypost.RouteDirect, Event: waypost.EventDelivered,
				Reason: "250 2.0.0 Ok: queued as 4ZkW", At: now,
				Attempt: &waypost.Attempt{
					DeliveryID: d.ID, Number: 1, Route: waypost.RouteDirect, Host: "mx.example.test",
					Phase: waypost.PhaseDot, Outcome: waypost.OutcomeDelivered,
					Reply: waypost.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 4ZkW"}, Started: now,
				},
			}
			y.Finish(f, func(err error) {
				if err != nil || f.Lost {
					b.Error("finish", err, f.Lost)
				}
				finishing.Done()
			})
		}
	})
	finishing.Wait()
	b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
}
