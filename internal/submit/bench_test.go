package submit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/route"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/submit"
	"github.com/waypost/waypost/internal/waypost"
)

// nowhere is a store that forgets.
type nowhere struct{}

func (nowhere) Accept(context.Context, *store.Accepting) error { return nil }

func (nowhere) FindIdempotency(context.Context, string, string) (*store.Idempotency, error) {
	return nil, nil
}

func (nowhere) BuiltinAccepted(context.Context, string, time.Time) (int64, error) { return 0, nil }

func (nowhere) SuppressionsFor(context.Context, string, []string) (map[string][]waypost.Suppression, error) {
	return nil, nil
}

type nobody struct{}

func (nobody) Reserve(*waypost.Account, *waypost.Message, []waypost.Delivery, *waypost.Once) (waypost.Handover, bool) {
	return waypost.Handover{Lease: lease, Start: func() {}, Cancel: func() {}}, true
}

// BenchmarkAccept5KiB is the pipeline without the store: header, checks, edits.
func BenchmarkAccept5KiB(b *testing.B) {
	var header strings.Builder
	header.WriteString(usualFields)
	for n := range 12 {
		fmt.Fprintf(&header, "X-Tracking-%d: some value that a tracking server adds, %d\r\n", n, n)
	}
	header.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	line := "A line of a notification, as long as they are in real life.\r\n"
	mail := []byte(header.String() + strings.Repeat(line, (5<<10-header.Len())/len(line)))
	for _, signature := range []string{"", "Op Fleet\nwww.op.test"} {
		name := "unsigned"
		if signature != "" {
			name = "signature"
		}
		b.Run(name, func(b *testing.B) {
			account := newAccount("op")
			account.Signature.Text = signature
			p := submit.New(submit.Options{
				Store: nowhere{}, Accounts: accounts{"op": account}, Queue: nobody{}, Hostname: "node.platform.test",
				Platform: route.Platform{From: waypost.Address{Email: "no-reply@platform.test"}}, Limits: submit.Limits{PerMinute: 1 << 30},
			})
			s := submission()
			s.Message = mail
			b.ReportAllocs()
			b.SetBytes(int64(len(mail)))
			for b.Loop() {
				if _, err := p.Accept(context.Background(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
