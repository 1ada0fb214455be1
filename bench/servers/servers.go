// Package servers starts the servers that engines need, each in a directory of its own: nobody else's is used. What is measured on them is
// the programs' own. Its central type is Server.
package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The servers, by the names that tables use.
const (
	Postgres    = "PostgreSQL"
	Redis       = "Redis, everysec"
	RedisAlways = "Redis, always"
)

// ErrAbsent says that the machine does not have a server's program.
var ErrAbsent = errors.New("not on this machine")

// A Server is one that Start has started.
type Server struct {
	Address string // what an engine is opened with: of PostgreSQL the database postgres
	Log     string // the file that it prints to
	PID     int    // of its first process

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

// programs are where to look for a server's program, first the path that the shell has.
var programs = map[string][]string{
	Postgres:    {"postgres", "/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres"},
	Redis:       {"redis-server"},
	RedisAlways: {"redis-server"},
}

// Find finds a server's program, or returns ErrAbsent with what was looked for.
func Find(name string) (string, error) {
	if len(programs[name]) == 0 {
		return "", fmt.Errorf("%w: %s", ErrAbsent, name)
	}
	for _, at := range programs[name] {
		if !filepath.IsAbs(at) {
			if path, err := exec.LookPath(at); err == nil {
				return path, nil
			}
			continue
		}
		if found, err := filepath.Glob(at); err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrAbsent, programs[name][0])
}

// Version asks a server's program for its version.
func Version(ctx context.Context, name string) (string, error) {
	path, err := Find(name)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Start starts a server in a directory that it makes, and waits until it answers. Stop ends it, not the context.
func Start(ctx context.Context, name, dir string) (*Server, error) {
	path, err := Find(name)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &Server{Log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	ready := s.redis
	if name == Postgres {
		ready, err = s.postgres(ctx, path, dir)
	} else {
		s.Address = filepath.Join(dir, "socket")
		err = s.start(exec.CommandContext(context.WithoutCancel(ctx), path, redisArguments(name, dir)...))
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	const patience, pause = 30 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		if err = ready(ctx); err == nil {
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("start %s: %w: %s", name, errors.Join(err, s.err), s.said())
		default:
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), s.Stop())
		}
	}
}

func (s *Server) start(cmd *exec.Cmd) error {
	log, err := os.Create(s.Log)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	s.cmd = cmd
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	s.PID = cmd.Process.Pid
	go func() {
		s.err = errors.Join(cmd.Wait(), log.Close())
		close(s.ended)
	}()
	return nil
}

// said is the end of what the server has printed.
func (s *Server) said() string {
	const most = 500
	text, err := os.ReadFile(s.Log)
	if err != nil {
		return err.Error()
	}
	said := strings.TrimSpace(string(text))
	return said[max(len(said)-most, 0):]
}

// Stop ends the server and waits for it.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	<-s.ended
	if s.err != nil {
		return fmt.Errorf("stop server: %w: %s", s.err, s.said())
	}
	return nil
}

// postgres makes a cluster and starts it. PostgreSQL refuses to run as root, so root runs it as nobody.
func (s *Server) postgres(ctx context.Context, path, dir string) (ready func(context.Context) error, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil { // initdb lies beside it
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(filepath.Dir(path), "initdb"), "-D", data, "-U", "bench", "--auth=trust", "--locale=C", "--encoding=UTF8")
	postgres := exec.CommandContext(context.WithoutCancel(ctx), path, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "synchronous_commit=on")
	for _, cmd := range []*exec.Cmd{initdb, postgres} {
		cmd.Dir = dir
		if err := asNobody(cmd, dir); err != nil {
			return nil, err
		}
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	s.Address = fmt.Sprintf("host=%s user=bench dbname=postgres", dir)
	ready = func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.Address)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	return ready, s.start(postgres)
}

// redisArguments are those of a Redis that appends what it is told to a file.
func redisArguments(name, dir string) []string {
	fsync := "everysec"
	if name == RedisAlways {
		fsync = "always"
	}
	return []string{
		"--port", "0", "--unixsocket", filepath.Join(dir, "socket"), "--dir", dir, "--appendonly", "yes", "--appendfsync", fsync, "--save", "",
	}
}

// redis asks whether the server answers.
func (s *Server) redis(ctx context.Context) (err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.Address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(answer) != "+PONG" {
		err = fmt.Errorf("it answers %q", answer)
	}
	return err
}
