package duly_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

// The message names the first attempts that still run, on one line, however many there are.
func TestUnfinishedError(t *testing.T) {
	for want, names := range map[string][]string{
		`duly: 0 attempts still run`:                                nil,
		`duly: 1 attempts still run: "a\nb"`:                        {"a\nb"},
		`duly: 3 attempts still run: "a", "b", "c"`:                 {"a", "b", "c"},
		`duly: 4 attempts still run: "a", "b", "c", ...`:            {"a", "b", "c", "d"},
		`duly: 6 attempts still run: "long", "longer", "last", ...`: {"long", "longer", "last", "x", "y", "z"},
	} {
		u := &duly.UnfinishedError{}
		for _, name := range names {
			u.Running = append(u.Running, duly.AttemptInfo{Name: name})
		}
		if got := u.Error(); got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	}
}

// Of several mistakes about a kind the first one is told, by Put and by Run: what an option was given, before what the handler is.
func TestHandle_TheFirstMistake(t *testing.T) {
	s, err := duly.New()
	if err != nil {
		t.Fatal(err)
	}
	k := duly.Handle[string](s, "k", nil, duly.Limit(0), duly.Rate(1, 0))
	_, err = k.Put(t.Context(), "a", "", schedule.After(0))
	for what, err := range map[string]error{"Put": err, "Run": s.Run(t.Context())} {
		if !errors.Is(err, duly.ErrInvalid) || !strings.Contains(err.Error(), "limit") {
			t.Errorf("%s: %v, want ErrInvalid about the limit", what, err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a handler has panicked with is found in the error of its attempt, if that was an error.
func TestPanicError_Unwrap(t *testing.T) {
	was := errors.New("was")
	if err := error(&duly.PanicError{Value: was}); !errors.Is(err, was) {
		t.Errorf("%v is not found in %v", was, err)
	}
	if err := errors.Unwrap(&duly.PanicError{Value: "text"}); err != nil {
		t.Errorf("a text that was panicked with is the error %v", err)
	}
}
