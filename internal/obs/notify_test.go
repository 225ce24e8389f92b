package obs_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/internal/obs"
)

func TestNotifyTellsTheSocket(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@waypost-test-" + filepath.Base(t.TempDir())} {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		for _, state := range []string{obs.NotifyReady, obs.NotifyStopping} {
			if err := obs.Notify(name, state); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, err := socket.Read(buf)
			if err != nil || string(buf[:n]) != state {
				t.Errorf("read %q, %v; want %q", buf[:n], err, state)
			}
		}
	}
}

func TestNotifyWithoutASocketDoesNothing(t *testing.T) {
	if err := obs.Notify("", obs.NotifyReady); err != nil {
		t.Error(err)
	}
	if err := obs.Notify(filepath.Join(t.TempDir(), "none"), obs.NotifyReady); err == nil {
		t.Error("a socket that is not there: no error")
	}
}
