// Package contract is for holding package duly to the rules of its contract on any store: what the store's own suite,
// store/storetest, shows of each call, this one shows of the whole way of a task, from Put to the end of its last attempt. Its central
// type is [Case], one demand with the rule it comes from. It is not for what several processes or machines do to one store, and
// not for kills of real processes.
//
// A case lives in a testing/synctest bubble and has a clock that is moved by hand, so that it says when an attempt begins to the
// microsecond and moves the wall clock apart from the time that passes. Whatever it did, the invariants of the contract are checked
// when it has ended: of the store, and of all attempts that it saw.
package contract

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store/storetest"
)

// Options tell of the store that duly is shown on.
type Options struct {
	// New returns an empty home, whose stores read clk and nothing else for the time. It is called in a bubble.
	New func(t testing.TB, clk clock.Clock) storetest.Home

	// Forgets says that a closed store keeps nothing; Kill still keeps what was acknowledged.
	Forgets bool

	// Shared says that several processes may have the store open. It tells those which run an attempt that somebody has asked to stop, and
	// a call is a way to a server and back: cases that are about many do with fewer.
	Shared bool

	// Skip holds the names of cases that can't be passed on this store, with the reason, which is printed. Any other name is an error.
	Skip map[string]string
}

// A Case is one demand on duly.
type Case struct {
	Name string
	Rule string // of the contract, such as "B2"; or several
	Why  string // what goes wrong for a user otherwise
	run  func(e *env)
}

// String returns the case's name and rule.
func (c *Case) String() string { return fmt.Sprintf("%s (%s)", c.Name, c.Rule) }

// Cases returns the contract.
func Cases() []Case {
	var all []Case
	for _, part := range [][]Case{
		acceptCases, nameCases, conflictCases, fireCases, waitCases, leaseCases, crashCases, cancelCases, moveCases, failCases, deadCases,
		recurCases, overlapCases, missedCases, pauseCases, clockCases, zoneCases, rulesCases, loadCases, rateCases, endCases, whyCases, historyCases,
		lookCases, brokenCases,
	} {
		all = append(all, part...)
	}
	return all
}

// Run holds duly on a store to the contract, each case in a subtest of its name. A case that fails prints its rule and why it matters.
func Run(t *testing.T, o Options) {
	t.Helper()
	known := map[string]bool{}
	for _, c := range Cases() {
		known[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			if reason := o.Skip[c.Name]; reason != "" {
				t.Skipf("%s: left out: %s", &c, reason)
			}
			defer func() {
				if t.Failed() {
					t.Logf("%s is held to rule %s: %s", c.Name, c.Rule, c.Why)
				}
			}()
			synctest.Test(t, func(t *testing.T) { runCase(t, &o, &c) })
		})
	}
	for name := range o.Skip {
		if !known[name] {
			t.Errorf("Options.Skip names %q, which is no case", name)
		}
	}
}

// start is what a case's clock shows at first: no round number in any unit that a calendar has.
var start = time.Date(2031, time.March, 14, 15, 9, 26, 535_897_000, time.UTC)

// runCase runs a case to its end, the invariants included. That nothing of it is left the end of the bubble shows.
func runCase(t *testing.T, o *Options, c *Case) {
	e := newEnv(t, o)
	defer e.giveUp()
	c.run(e)
	e.end()
}
