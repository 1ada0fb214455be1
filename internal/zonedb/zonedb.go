// Package zonedb is for where time zones are read from: through package time, unless a test has put another database in its place, as
// an update of the system's would between two processes. It is not for what zones mean. Its central type is [DB].
package zonedb

import (
	"sync/atomic"
	"time"
)

// A DB is a time zone database.
type DB struct {
	Version string // "" is that of the files that package time reads
	Load    func(name string) (*time.Location, error)
}

var (
	system  = &DB{Load: time.LoadLocation}
	current atomic.Pointer[DB] // nil is system
)

// Current returns the database that zones are read from. What was read from another one stays as it is.
func Current() *DB {
	if db := current.Load(); db != nil {
		return db
	}
	return system
}

// Use has zones read from db, until what it returns is called. Only tests call it.
func Use(db *DB) (restore func()) {
	old := current.Swap(db)
	return func() { current.Store(old) }
}
