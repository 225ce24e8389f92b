package deliver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/waypost/waypost/internal/waypost"
)

func TestWordsForPeopleSayWhatHappenedAndWhen(t *testing.T) {
	for _, tt := range []struct {
		phase waypost.Phase
		err   error
		want  string
	}{
		{waypost.PhaseData, io.EOF, "the server closed the connection at DATA"},
		{waypost.PhaseDot, fmt.Errorf("read: %w", syscall.ECONNRESET), "the server closed the connection after the final dot, without saying whether it has the mail"},
		{waypost.PhaseGreet, os.ErrDeadlineExceeded, "the server did not answer in time before greeting us"},
		{waypost.PhaseConnect, os.ErrDeadlineExceeded, "no answer to the connection in time; a firewall may swallow it"},
		{waypost.PhaseConnect, syscall.ECONNREFUSED, "nothing listens there: connection refused"},
		{waypost.PhaseDNS, io.EOF, "EOF"},
		{waypost.PhaseAuth, errors.New("server offers no login that we know"), "server offers no login that we know"},
	} {
		if got := words(tt.phase, tt.err); got != tt.want {
			t.Errorf("words(%s, %v) = %q, want %q", tt.phase, tt.err, got, tt.want)
		}
	}
}
