package store

// A Share is what a node has of a store that is divided among processes (Owner): of each kind of tasks some shards. It is not changed once it
// was told. A nil Share has everything.
type Share struct {
	Shards Shards            // of every kind that is not in Kinds
	Kinds  map[string]Shards // of these kinds, in place of Shards
	Epoch  int64             // of the change that has made it so
}

// Has says whether tasks of a kind in a shard are the node's.
func (s *Share) Has(shard uint8, kind string) bool {
	return s == nil || has(&s.Shards, s.Kinds, shard, kind)
}

// Of returns the shards in which tasks of a kind are the node's.
func (s *Share) Of(kind string) Shards {
	if of, other := s.Kinds[kind]; other {
		return of
	}
	return s.Shards
}

// All returns the shards in which anything is the node's.
func (s *Share) All() Shards {
	all := s.Shards
	for _, of := range s.Kinds {
		for i := range all {
			all[i] |= of[i]
		}
	}
	return all
}

// Beyond returns the shards in which something is in the share that is not in another.
func (s *Share) Beyond(o *Share) Shards {
	beyond := without(s.Shards, o.Shards)
	for _, kinds := range [2]map[string]Shards{s.Kinds, o.Kinds} {
		for kind := range kinds {
			more := without(s.Of(kind), o.Of(kind))
			for i := range beyond {
				beyond[i] |= more[i]
			}
		}
	}
	return beyond
}

// without returns the shards of a that are not in b.
func without(a, b Shards) Shards {
	for i := range a {
		a[i] &^= b[i]
	}
	return a
}

func has(shards *Shards, kinds map[string]Shards, shard uint8, kind string) bool {
	if of, other := kinds[kind]; other {
		return of.Has(shard)
	}
	return shards.Has(shard)
}
