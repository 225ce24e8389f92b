package obs

import (
	"fmt"
	"net"
)

// What Notify tells systemd (sd_notify(3)).
const (
	NotifyReady    = "READY=1"
	NotifyStopping = "STOPPING=1"
)

// Notify sends a state to systemd. Socket is the value of NOTIFY_SOCKET, a path or an
// abstract name with a leading "@"; if it is empty there is nobody to tell.
func Notify(socket, state string) error {
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
