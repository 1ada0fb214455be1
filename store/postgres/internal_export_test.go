package postgres

// Kill ends a store as the death of its process does: whatever is under way is cut off.
func (s *Store) Kill() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.hints.Close()
	s.stop()
}

func (s *Store) EntriesClass() int32 { return s.entriesClass() }

// Waiting is how many calls wait for somebody else's transaction, and keep no writer.
func (s *Store) Waiting() int { return int(s.queue.waiting.Load()) }

// ShareOut is shareOut.
func ShareOut(conns int) (readers, alone int) { return shareOut(conns) }
