package postgres

import (
	"context"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// What tests of ownership see and set of a store. Clocks are set before Own.

func (s *Store) Owns(shard uint8, kind string) bool  { return s.owns(shard, kind) }
func (s *Store) Alone(shard uint8, kind string) bool { return s.alone(shard, kind) }
func (s *Store) Gone(owner string, startedAt time.Time) bool {
	return s.gone(owner, store.At(startedAt))
}
func (s *Store) SetBoot(clk clock.Clock)       { s.nodes.clk = clk }
func (s *Store) SetWall(wall func() time.Time) { s.nodes.wall = wall }
func (s *Store) Channel() string               { return s.channel() }
func (s *Store) Sender() int64                 { return s.sender }

// Sweeper returns a sweep that looks when it is called.
func (s *Store) Sweeper() func(ctx context.Context) error {
	var w sweep
	return func(ctx context.Context) error { return w.look(ctx, s) }
}

var (
	Every      = every
	FormatHint = formatHint
)
