package daemon

import (
	"fmt"
	"strings"

	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

// banner is what whoever has started the daemon sees: where it is, and what to try.
func (d *Daemon) banner() string {
	var b strings.Builder
	places := make([]string, len(d.ports))
	for i, p := range d.ports {
		places[i] = p.String()
	}
	fmt.Fprintf(&b, "duly serves on %s\n", strings.Join(places, " and "))
	if x := d.shared; x != nil {
		fmt.Fprintf(&b, "tasks in %v (schema %s, version %d; PostgreSQL %s), which other daemons may share: %s%s stats\n", d.config.Store, d.config.schema(),
			x.found.Version, x.found.Server, d.process.Name, d.how())
	}
	fmt.Fprintf(&b, "data in %s\n\nTry, from another terminal:\n", d.config.Data)
	call := d.process.Name + d.how()
	fmt.Fprintf(&b, "  %s in 5s --wait -- echo hello\n", call)
	fmt.Fprintf(&b, "  %s ls\n", call)
	for _, p := range d.ports {
		if !p.socket {
			fmt.Fprintf(&b, "  curl -H \"Authorization: Bearer $(cat %s)\" %v/v1/stats\n", wording.Quote(home.Token(d.config.Data)), p)
			return b.String()
		}
	}
	fmt.Fprintf(&b, "  curl --unix-socket %s http://localhost/v1/stats\n", wording.Quote(d.Socket()))
	return b.String()
}

// how are the flags by which the command line finds this daemon, if it needs any.
func (d *Daemon) how() string {
	usual, err := home.Data("", d.process.Getenv)
	socket := d.Socket()
	at, serr := home.Socket(d.config.Data)
	switch {
	case socket == "" && len(d.ports) > 0:
		return " --url " + wording.Quote(d.ports[0].String()) + " --token-file " + wording.Quote(home.Token(d.config.Data))
	case serr != nil || socket != at:
		return " --socket " + wording.Quote(socket)
	case err != nil || usual != d.config.Data:
		return " --data " + wording.Quote(d.config.Data)
	}
	return ""
}
