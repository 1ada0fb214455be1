package duly_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/dulyhq/duly"
)

// However many kinds somebody makes up, counters stay few; those of what is handled are there all the same.
func TestStats_ManyKinds(t *testing.T) {
	d, err := duly.New(duly.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		duly.Declare[string](d, fmt.Sprintf("made-up-%d", i))
	}
	duly.Handle(d, "mail", func(context.Context, *duly.Attempt[string]) error { return nil })
	s, err := d.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Kinds["mail"]; !ok || len(s.Kinds) > 1002 {
		t.Errorf("%d kinds, that which is handled among them: %t", len(s.Kinds), ok)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
