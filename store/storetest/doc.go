// Package storetest holds a store to the contract of package store. It is for whoever writes a store, or changes one:
// docs/writing-a-store.md leads through it.
//
// Its central function is [Run], the contract as a suite of named cases, each of which says which rule it holds the store to and why
// that matters. Beside it stand [Faulty], a store that fails, hangs or tears a call on purpose, for the tests of what uses stores, and
// [Bench]. Stores with planted faults show that the suite finds them; they are in the package's own tests.
//
// The cases own the time: a store under test reads the clock that [Options].New is given and no other.
package storetest
