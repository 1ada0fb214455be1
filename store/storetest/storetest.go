package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// A Home is the place of one store for one test: a directory, a database, or a piece of memory.
type Home interface {
	// Open opens what is kept there. The store that was open before must have been closed or killed.
	Open() (store.Store, error)

	// Kill is the death of the process: the store that is open is abandoned, and what only the process knew is gone. What the
	// operating system was given stays. Nothing may be asked of the abandoned store afterwards. Goroutines of it must be gone when
	// Kill returns.
	Kill()
}

// A PowerCutter is a home whose machine can lose its power: it is killed, and of what was not synced no more than keep percent
// stay, 0 to 100.
type PowerCutter interface {
	PowerCut(keep int)
}

// Options tell of the store under test.
type Options struct {
	// New returns an empty home, whose stores read clk and nothing else for the time. It is cleaned away with t. For Bench clk is the
	// system's clock.
	New func(t testing.TB, clk clock.Clock) Home

	// Skip holds the names of cases that the store can't pass, with the reason, which is printed: those of Run, "Scripts/<file>", "Model"
	// and "Histories". Any other name is an error.
	Skip map[string]string

	// Forgets says that a closed store keeps nothing, as one in memory does; Kill still keeps what was acknowledged, so that the rest
	// can be tested.
	Forgets bool

	// Shared says that other processes may have the store open: leases then outlast the process that took them, until their end.
	Shared bool

	// Coarse is by how much the store's clock may lag behind clk, 0 for not at all.
	Coarse time.Duration
}

// A Case is one demand on a store.
type Case struct {
	Name string
	Rule string // of the contract, such as "B2", or the sentence's place: "Store.Due"
	Why  string // what goes wrong for a user of a store that fails it
	run  func(e *env)
}

// Cases returns the contract.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{
		putCases, conflictCases, onceCases, cancelCases, editCases, alignCases, extraCases, buryCases, dueCases, claimCases, foldCases,
		settleCases, listCases, historyCases, trimCases, rowCases, lifeCases, crashCases, raceCases,
	} {
		all = append(all, part...)
	}
	return all
}

// Run holds a store to the contract, each case in a subtest of its name. A case that fails prints its rule and why it matters.
func Run(t *testing.T, o Options) {
	t.Helper()
	known := map[string]bool{}
	for _, c := range Cases() {
		known[c.Name] = true
		t.Run(c.Name, func(t *testing.T) { runCase(t, &o, &c) })
	}
	for name := range o.Skip {
		if !known[name] && !strings.HasPrefix(name, "Scripts/") && name != "Model" && name != "Histories" {
			t.Errorf("Options.Skip names %q, which is no case", name)
		}
	}
}

// start is what a case's clock shows at first: no round number in any unit, so that rounding is seen.
var start = time.Date(2031, time.March, 14, 15, 9, 26, 535_897_932, time.UTC)

// runCase runs a case to its end, the invariants included.
func runCase(t testing.TB, o *Options, c *Case) {
	t.Helper()
	if reason := o.Skip[c.Name]; reason != "" {
		t.Skipf("%s (%s): left out: %s", c.Name, c.Rule, reason)
	}
	defer func() {
		if t.Failed() {
			t.Logf("%s is held to rule %s: %s", c.Name, c.Rule, c.Why)
		}
	}()
	clk := clock.NewManual(start)
	e := &env{TB: t, ctx: t.Context(), o: o, clk: clk, home: o.New(t, clk)}
	e.open()
	c.run(e)
	if e.s != nil {
		Invariants(t, e.s)
		if err := e.s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// String returns the case's name and rule.
func (c *Case) String() string { return fmt.Sprintf("%s (%s)", c.Name, c.Rule) }
