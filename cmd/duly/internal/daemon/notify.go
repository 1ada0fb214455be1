package daemon

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"
)

// A notifier tells the init system how the daemon is, by systemd's protocol: sd_notify(3).
type notifier struct {
	address string        // of its socket; "" is an init system that does not want to know
	watch   time.Duration // how often it wants to hear that all is well; 0 is never
}

// newNotifier reads what the init system asks for.
func newNotifier(getenv func(string) string, pid int) notifier {
	n := notifier{address: getenv("NOTIFY_SOCKET")}
	if strings.HasPrefix(n.address, "@") { // of Linux, without a file
		n.address = "\x00" + n.address[1:]
	}
	if p := getenv("WATCHDOG_PID"); p != "" && p != strconv.Itoa(pid) {
		return n
	}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 && us < int64(24*time.Hour/time.Microsecond) {
		n.watch = time.Duration(us) * time.Microsecond
	}
	return n
}

// tell sends assignments, one a line. Nobody to tell is no error.
func (n *notifier) tell(ctx context.Context, lines ...string) error {
	if n.address == "" {
		return nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixgram", n.address)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(strings.Join(lines, "\n")))
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}
