package pebble

// Mark writes the mark now, which is otherwise written some time after it has moved.
func (s *Store) Mark() error { return s.writeMark(s.durable.Load()) }
