package main

import (
	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/store/pebble"
)

func openDuly(dir string) (engine, error) { return newDuly(dir) }

// newDuly is ours on the embedded store: both with the options that they have when nobody sets any.
func newDuly(dir string) (*engines.Duly, error) {
	st, err := pebble.Open(dir, pebble.Options{Logger: engines.Log()})
	if err != nil {
		return nil, err
	}
	return engines.NewDuly(st)
}
