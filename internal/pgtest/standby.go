package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// StandbyOptions of a standby. The zero value is an asynchronous one.
type StandbyOptions struct {
	// Synchronous has the primary confirm a commit only when this standby has it on disk too. While a synchronous standby is down,
	// and after it was promoted, commits on the primary wait; Conf("synchronous_standby_names", "") lets them go.
	Synchronous bool

	// Conf are settings, as those of Options. It has the primary's too, but those set by the method Conf.
	Conf map[string]string
}

// Standby starts a standby of this server, which follows it by streaming and answers queries, and returns when it has caught up.
// It is a server with a directory and a socket of its own, and it ends with the test. It may be stopped and started again at any
// time: the primary keeps what it lacks. It fails the test if it does not come about.
func (s *Server) Standby(t testing.TB, o StandbyOptions) *Server {
	t.Helper()
	f, err := s.follower(o)
	if err != nil {
		t.Fatal(err)
	}
	f.endWith(t)
	return f
}

func (s *Server) follower(o StandbyOptions) (*Server, error) {
	if err := s.steered("follow the"); err != nil {
		return nil, err
	}
	conf, err := confText(o.Conf)
	if err != nil {
		return nil, fmt.Errorf("StandbyOptions.Conf: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.upLocked() {
		return nil, errors.New("start standby: the primary is down")
	}
	s.standbys++
	name := fmt.Sprintf("standby_%d", s.standbys)
	primary := fmt.Sprintf("host=%s port=%s user=%s application_name=%s", quoteDSN(s.dir), port, superuser, name)
	f := &Server{version: s.version}
	err = f.raise(func() error {
		if err := f.run("pg_basebackup", "-D", "data", "-d", primary, "-X", "stream", "-c", "fast", "-C", "-S", name, "--no-sync"); err != nil {
			return err
		}
		if err := f.standBy(); err != nil {
			return fmt.Errorf("make it a standby: %w", err)
		}
		return f.appendConf(fmt.Sprintf("primary_conninfo = %s\nprimary_slot_name = '%s'\n%s", quoteConf(primary), name, conf))
	})
	if err != nil {
		return nil, fmt.Errorf("start standby: %w", err)
	}
	if err := s.attachLocked(name, o.Synchronous); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

// attachLocked waits until a standby streams, and has the server wait for it from then on if it is synchronous.
func (s *Server) attachLocked(name string, synchronous bool) error {
	if err := s.awaitStandbyLocked(name, "state", "streaming"); err != nil || !synchronous {
		return err
	}
	names := append(slices.Clone(s.synchronous), name)
	if err := s.confLocked("synchronous_standby_names", fmt.Sprintf("FIRST %d (%s)", len(names), strings.Join(names, ", "))); err != nil {
		return err
	}
	s.synchronous = names
	return s.awaitStandbyLocked(name, "sync_state", "sync")
}

// awaitStandbyLocked waits until the server's view of a standby has a value.
func (s *Server) awaitStandbyLocked(name, column, want string) error {
	ask := fmt.Sprintf("SELECT %s FROM pg_stat_replication WHERE application_name = '%s'", column, name)
	return s.awaitLocked(fmt.Sprintf("wait until %s of %s is %s", column, name, want), func() error {
		got, err := s.Query("", ask)
		if err == nil && !slices.Contains(got, want) {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
}

// standBy has the data be a standby's. What was set on the primary by the method Conf is the primary's: were it waiting for a
// standby, this server would wait for itself when it is promoted.
func (s *Server) standBy() error {
	data := filepath.Join(s.dir, "data")
	if err := os.Truncate(filepath.Join(data, "postgresql.auto.conf"), 0); err != nil {
		return err
	}
	signal := filepath.Join(data, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	return giveAway(signal)
}

// Promote makes a standby a primary and returns when it takes writes. Its former primary is not told.
func (s *Server) Promote() error {
	if err := s.steered("promote"); err != nil {
		return err
	}
	done, err := s.Query("", fmt.Sprintf("SELECT pg_promote(true, %d)", int(patience.Seconds())-1))
	if err != nil {
		return s.failed("promote server", err)
	}
	if !slices.Equal(done, []string{"t"}) {
		return s.failed("promote server", fmt.Errorf("it is still a standby after %s", patience))
	}
	return nil
}
