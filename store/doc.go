// Package store is the durable contract: what a store of named tasks keeps, which moves are legal, and what a caller may rely on.
//
// Its central type is [Store], an interface whose comments are the specification. Beside it stand the pure transitions, such as
// [Put.Apply]: given a task as it is and the store's clock they return it as it becomes, with the answer and the entries for the
// history, and touch nothing. So the rules exist once. A store's own work is to serialise the writes of a name, to make the change
// durable as one, and to find tasks by name and by position; docs/writing-a-store.md leads through one.
//
// The package does no I/O, keeps nothing, and knows no schedule: which occurrence comes next, whether to retry and when, is worked out
// by the caller and handed in.
package store
