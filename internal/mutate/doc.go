// Package mutate asks of the tests whether they would notice: it changes the code in small ways, its mutants, and runs the
// tests that reach the change. A mutant that no test fails for has survived, and shows what no test looks at. It holds
// tests only.
//
// All mutants of a package are compiled into its test binaries at once. Each stands behind a number, and the environment
// variable MUTANT says which of them is on, so that a mutant costs a run of some tests and no build. One run of each test
// without a mutant records which it reaches.
//
// What is changed: comparisons (their bound, and negated), conditions (negated, always, never), && and ||, arithmetic,
// numbers and bools in the text, results (their zero value, one more, no error), statements that are left out, break and
// continue. What is not: constants, variables of the package, case labels, panics, locks and unlocks, and files that are
// not built on this system.
//
// A mutant that can't be told from the code is excluded by its name, with the reason, in testdata/verdicts.txt. It is
// counted openly. A run that takes too long counts as killed if the same tests are in time without the mutant.
//
//	go test ./internal/mutate -run TestMutants -mutate                          # all packages, into docs/bench/mutation.md
//	go test ./internal/mutate -run TestMutants -mutate -mutate.only=schedule -mutate.n=50 -mutate.record=
package mutate
