// Package transfer moves tasks from one store to another: as lines of text, which can be kept, read and sent.
//
// It is not for copies that a store can be restored from, and not for finding and opening stores. Its central type is [Line]; docs/cli-json.md
// promises what it looks like.
//
// # What is promised
//
// A task that was moved is due when it was, and its schedule goes on as it would have: neither is an occurrence early, nor does one that
// was accounted for come again. What can't be moved is said, and nothing is dropped without that. [In] makes a task come due only when all
// of it is there, changes nothing that is there already, and can be done again, also after it was cut off in the middle.
package transfer
