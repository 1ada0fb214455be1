// Package pebble is the embedded store: named tasks in a directory, without a server, that survive kill -9 and power loss. Its
// central type is [Store], which [Open] makes; what it promises is package store's contract.
//
// # Who is authoritative
//
// The directory is. Beside it the process keeps only what it may lose: which tasks have an attempt under way (read back when the
// directory is opened), those that were read lately because they are nearly due, a filter over the names, and the ends of leases.
// One process may have a directory open.
//
// # How it writes
//
// One committer takes whatever calls wait and makes one batch of them: it works out each row by package store's transitions, seeing
// the rows before it, and lets the batch be written and synced as one. While a sync is under way the next batch is built. A call
// is answered after the sync that holds its last row, and readers wait for the sync of what they have seen.
//
// # When storage fails
//
// A write or a sync that fails is never tried again, because after it nobody knows what is on the disk. The calls that it was for get
// an error that is both ErrBroken and ErrUnknown; all that come after it get ErrBroken, or ErrNoSpace or ErrReadOnly if that was the
// cause. The process goes on. Of what has failed nothing reaches the directory any more (see fuse). The store closes what it had open and opens the directory anew, at once and then every second, and
// when that works it is as good as before. If the library underneath does not let itself be closed, it says that the process
// must be restarted; nothing acknowledged is lost by that.
//
// The layout of keys and values is drawn in docs/format.md.
package pebble
