package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The servers that peers need.
const (
	serverPostgres    = "PostgreSQL"
	serverRedis       = "Redis, everysec"
	serverRedisAlways = "Redis, always"
)

// errNoServer says that the machine does not have a server's program.
var errNoServer = errors.New("not on this machine")

// A server is one that was started for a sample, in a directory of its own. Nobody else's is used.
type server struct {
	address string // what the engine is opened with
	cmd     *exec.Cmd
	log     *bytes.Buffer // what it prints; to be read when it has ended
	ended   chan struct{}
	err     error // how it ended
}

// programs are where to look for a server's program, first the path that the shell has.
var programs = map[string][]string{
	serverPostgres:    {"postgres", "/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres"},
	serverRedis:       {"redis-server"},
	serverRedisAlways: {"redis-server"},
}

// program finds a server's program, or returns errNoServer with what was looked for.
func program(name string) (string, error) {
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
	return "", fmt.Errorf("%w: %s", errNoServer, programs[name][0])
}

// startServer starts a server in a directory that it makes.
func startServer(ctx context.Context, name, dir string) (*server, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &server{log: new(bytes.Buffer), ended: make(chan struct{})}
	ready := s.redis
	if name == serverPostgres {
		ready, err = s.postgres(ctx, path, dir)
	} else {
		err = s.start(exec.CommandContext(context.WithoutCancel(ctx), path, redisArguments(name, dir)...)) // stop ends it
		s.address = filepath.Join(dir, "socket")
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
			return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), s.stop())
		}
	}
}

func (s *server) start(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = s.log, s.log
	s.cmd = cmd
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	return nil
}

// said is the end of what the server has printed, once it has ended.
func (s *server) said() string {
	const most = 500
	text := strings.TrimSpace(s.log.String())
	return text[max(len(text)-most, 0):]
}

// stop ends the server.
func (s *server) stop() error {
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
func (s *server) postgres(ctx context.Context, path, dir string) (ready func(context.Context) error, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil { // initdb lies beside it
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(filepath.Dir(path), "initdb"), "-D", data, "-U", "bench", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8")
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
	s.address = fmt.Sprintf("host=%s user=bench dbname=postgres", dir)
	ready = func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.address)
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
	if name == serverRedisAlways {
		fsync = "always"
	}
	return []string{
		"--port", "0", "--unixsocket", filepath.Join(dir, "socket"), "--dir", dir, "--appendonly", "yes", "--appendfsync", fsync, "--save", "",
	}
}

// redis asks whether the server listens.
func (s *server) redis(ctx context.Context) error {
	eng, err := openAsynq(s.address)
	if err != nil {
		return err
	}
	a, ok := eng.(*asynqEngine)
	if !ok {
		return errors.New("not asynq")
	}
	return errors.Join(a.client.Ping(), a.client.Close(), ctx.Err())
}

// versionOf asks a server's program for its version.
func versionOf(ctx context.Context, name string) (string, error) {
	path, err := program(name)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
