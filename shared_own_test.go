package duly_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
)

// How a cluster's shards are divided, and what follows from the kinds that its nodes handle.

// join adds a node with a clock of its own, which runs handler for the one kind there is. It takes part when it works.
func (c *cluster) join(name string, ahead time.Duration, ppm int64, h func(ctx context.Context, a *duly.Attempt[string]) error) *node {
	c.Helper()
	n := c.idle(name, ahead, ppm)
	n.kind = n.handles("k", h)
	return n
}

// idle adds a node that handles nothing yet.
func (c *cluster) idle(name string, ahead time.Duration, ppm int64) *node {
	c.Helper()
	n := &node{Store: c.mem, c: c, name: name, clk: newSkewed(ahead, ppm), calls: map[string]int{}, drop: make(chan struct{})}
	var err error
	n.d, err = duly.New(duly.Options{Store: n, Owner: name, Clock: n.clk, Logger: slog.New(slog.NewTextHandler(c, nil))})
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// handles has a node run tasks of a kind, of which the others hear when it beats.
func (n *node) handles(kind string, h func(ctx context.Context, a *duly.Attempt[string]) error, opts ...duly.KindOption) *duly.Kind[string] {
	c := n.c
	return duly.Handle(n.d, kind, func(ctx context.Context, a *duly.Attempt[string]) error {
		c.mu.Lock()
		i := len(c.ran)
		c.ran = append(c.ran, ran{AttemptInfo: *a.AttemptInfo, on: n.name, at: time.Now()})
		c.mu.Unlock()
		err := h(ctx, a)
		c.mu.Lock()
		c.ran[i].ended, c.ran[i].err, c.ran[i].cause = time.Now(), err, context.Cause(ctx)
		c.mu.Unlock()
		return err
	}, opts...)
}

// divide gives shards to those for whom the table says so; nil is nobody. Those for whom anything has changed by it, or by what others handle,
// are told.
func (c *cluster) divide(to func(shard int) *node) {
	c.mu.Lock()
	nodes := slices.Clone(c.nodes)
	c.mu.Unlock()
	handle := make([]map[string]bool, len(nodes))
	for i, n := range nodes {
		handle[i] = map[string]bool{}
		for _, kind := range n.kinds() {
			handle[i][kind] = true
		}
	}
	c.mu.Lock()
	c.epoch++
	for s := range c.owner {
		if c.owner[s] = to(s); c.owner[s] != nil && c.owner[s].owned == nil {
			c.owner[s] = nil
		}
	}
	kinds := map[string]bool{}
	for i, n := range nodes {
		if n.handle = handle[i]; n.owned != nil {
			maps.Copy(kinds, n.handle)
		}
	}
	var tell []func()
	for _, n := range nodes {
		if n.owned == nil {
			continue
		}
		share := c.shareLocked(n, kinds)
		if none := (store.Shards{}); share.Beyond(&n.share) != none || n.share.Beyond(&share) != none {
			owned := n.owned
			tell = append(tell, func() { owned(share) })
			n.share = share
		}
	}
	c.mu.Unlock()
	for _, f := range tell {
		f()
	}
}

// shareLocked is what a node has, where some of the nodes handle these kinds.
func (c *cluster) shareLocked(n *node, kinds map[string]bool) store.Share {
	share := store.Share{Epoch: c.epoch, Kinds: map[string]store.Shards{}}
	for s := range c.owner {
		if c.owner[s] == n {
			share.Shards.Add(uint8(s))
		}
	}
	for kind := range kinds {
		var of store.Shards
		for s := range c.owner {
			if c.holderLocked(s, kind) == n {
				of.Add(uint8(s))
			}
		}
		if of != share.Shards {
			share.Kinds[kind] = of
		}
	}
	return share
}

// holderLocked is whose tasks of a kind in a shard are: the shard's owner's, or if that does not handle the kind one of those that do.
func (c *cluster) holderLocked(shard int, kind string) *node {
	owner := c.owner[shard]
	if owner == nil || owner.handle[kind] {
		return owner
	}
	var able []*node
	for _, n := range c.nodes {
		if n.owned != nil && n.handle[kind] {
			able = append(able, n)
		}
	}
	if len(able) == 0 {
		return owner
	}
	return able[shard%len(able)]
}

// beat lets all hear of what the others handle by now.
func (c *cluster) beat() {
	c.divide(func(s int) *node { return c.owner[s] })
	synctest.Wait()
}

// evenly divides the shards among nodes, and lets them read what they have gained.
func (c *cluster) evenly(nodes ...*node) {
	c.divide(func(s int) *node { return nodes[s%len(nodes)] })
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// Own implements store.Owner.
func (n *node) Own(ctx context.Context, name string, kinds func() []string, owned func(store.Share)) error {
	if err := n.enter("Own"); err != nil {
		return err
	}
	c := n.c
	c.mu.Lock()
	if n.fails != nil {
		defer c.mu.Unlock()
		return n.fails
	}
	if name != n.name {
		c.Errorf("Own as %q, want %q", name, n.name)
	}
	n.owned, n.kinds, n.share = owned, kinds, store.Share{}
	c.nodes = append(slices.DeleteFunc(c.nodes, func(o *node) bool { return o == n }), n)
	c.mu.Unlock()
	select {
	case <-n.drop:
		c.mu.Lock()
		defer c.mu.Unlock()
		n.owned = nil
		for s, o := range c.owner {
			if o == n {
				c.owner[s] = nil
			}
		}
		return errors.New("the connection is broken") // whose shards these are is not known until they are divided anew
	case <-ctx.Done():
	}
	c.mu.Lock()
	n.owned = nil
	c.mu.Unlock()
	c.divide(func(s int) *node { // what it gives up the others have
		if o := c.owner[s]; o != n {
			return o
		}
		for _, o := range c.nodes {
			if o.owned != nil {
				return o
			}
		}
		return nil
	})
	return context.Cause(ctx)
}

// Claim implements store.Store.
func (n *node) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	if err := n.enter("Claim"); err != nil {
		return nil, err
	}
	res := make([]store.ClaimResult, len(claims))
	for i := range claims {
		ts, err := n.c.mem.Get(ctx, []store.Key{claims[i].Key})
		if err != nil {
			return nil, err
		}
		n.c.mu.Lock()
		own := ts[0] == nil || ts[0].Generation != claims[i].Generation || n.c.holderLocked(int(claims[i].Shard()), ts[0].Kind) == n
		if !own {
			n.calls["Claim refused"]++
		}
		n.c.mu.Unlock()
		if !own {
			res[i].Err = &store.Error{Op: "claim", Key: claims[i].Key, Err: store.ErrNotOwner}
			continue
		}
		one, err := n.c.mem.Claim(ctx, claims[i:i+1])
		if err != nil {
			return nil, err
		}
		res[i] = one[0]
	}
	n.c.mu.Lock()
	f := n.torn
	n.torn = nil
	n.c.mu.Unlock()
	if f != nil {
		f()
		return nil, store.ErrUnknown
	}
	return res, nil
}
