package clusterproof_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
)

// restarted has the server end at once, as by a crash, and come back.
func restarted(t *testing.T, s *pgtest.Server) {
	f := newFleet(t, s.Database(t), orders{Producers: brief(3, 8)})
	for _, p := range f.startAll("a", "b", "c") {
		p.begin()
	}
	for i := range brief(1, 10) {
		f.rest(500 * time.Millisecond)
		f.steady(i, steadyMany, 2500*time.Millisecond)
		w := window{from: now()}
		if err := s.Restart(pgtest.Immediate); err != nil {
			t.Fatal(err)
		}
		f.row.faults++
		f.shared(3)
		w.to = now()
		f.windows = append(f.windows, w)
	}
	f.rest(500 * time.Millisecond)
	f.finish()
	f.kept()
}

const steadyMany = 60

// kept holds the run to it that what ran on while the server was away was not taken from processes that live, because the locks by which
// they are known to had gone with it. A process that the machine has kept from coming back in time may have lost what it ran.
func (f *fleet) kept() {
	f.t.Helper()
	if most := steadyMany / 2; f.row.overlapped > most {
		f.t.Errorf("%d attempts were taken from processes that live, want at most %d", f.row.overlapped, most)
	}
}

// promoted has a standby take the place of a server that is killed. Where the standby is asynchronous, what was acknowledged just before
// may be lost, and is counted.
func promoted(t *testing.T, s, standby *pgtest.Server, synchronous bool) {
	f := newFleet(t, either(t, s.Database(t), standby), orders{Producers: brief(3, 8)})
	for _, p := range f.startAll("a", "b", "c") {
		p.begin()
	}
	f.rest(time.Second)
	f.steady(0, steadyMany, 2500*time.Millisecond)
	w := window{from: now()}
	if !synchronous {
		f.forgets = func(at int64) bool { return at >= w.from-slack && at <= w.from+slack }
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	f.row.faults++
	f.shared(3)
	w.to = now()
	f.windows = append(f.windows, w)
	f.rest(500 * time.Millisecond)
	f.finish()
	f.kept()
}

// either returns the connection string that leads to a server, or else to its standby, whichever takes writes.
func either(t *testing.T, dsn string, standby *pgtest.Server) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(standby.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", q.Get("host")+","+other.Query().Get("host"))
	q.Set("port", q.Get("port")+","+other.Query().Get("port"))
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = q.Encode()
	return u.String()
}
