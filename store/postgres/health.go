package postgres

import (
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

// Health is how a store that many processes share stands, as this process sees it: for whoever watches over it. Without Own at work it knows
// of no nodes.
type Health struct {
	Node        string        // under which this process takes part; "" if it does not
	Connected   bool          // the node has its connection
	Shards      store.Shards  // what it owns
	Epoch       int64         // of the last change of who owns what
	SeenAt      store.Instant // its last heartbeat
	Offset      time.Duration // how much this process's clock is ahead of the server's
	Uncertainty time.Duration // how far off Offset may be
	StandsDown  string        // why the node owns nothing although it lives; "" if it does not stand down
	Nodes       []NodeHealth  // all nodes, this one among them, by name

	Listening bool  // what others write is heard of at once
	Sweeps    int64 // how often all shards of ours were looked over for what nobody was told of
	Swept     int64 // how many tasks were found to be late by that
}

// NodeHealth is how a node stands.
type NodeHealth struct {
	Name       string
	Live       bool // its lease goes on
	Gone       bool // its process is known to have ended
	Owned      int  // shards
	SeenAt     store.Instant
	Offset     time.Duration // what it says that its clock is ahead of the server's
	StandsDown bool
}

// Health returns how the store stands, as of the last heartbeat. It asks nobody and does not wait.
func (s *Store) Health() Health {
	x := &s.nodes
	x.mu.Lock()
	h := x.health
	h.Nodes = slices.Clone(h.Nodes)
	x.mu.Unlock()
	h.Listening = s.ears.listening.Load()
	return h
}
