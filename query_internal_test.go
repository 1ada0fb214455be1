package duly

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// TestQuery_Matches: each field alone decides, on either side of it, as it does when tasks are asked for by their names.
func TestQuery_Matches(t *testing.T) {
	due := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	at := store.At(due)
	task := &store.Task{
		Key: store.Key{Name: "order-42"}, Spec: store.Spec{Kind: "mail", Tags: []string{"a", "b"}},
		Next: store.Occurrence{For: at, Due: at}, PausedAt: 0,
	}
	paused := *task
	paused.PausedAt = 1
	for what, tt := range map[string]struct {
		q    Query
		t    *store.Task
		want bool
	}{
		"nothing asked":           {Query{}, task, true},
		"its prefix":              {Query{Prefix: "order-"}, task, true},
		"its whole name":          {Query{Prefix: "order-42"}, task, true},
		"a longer prefix":         {Query{Prefix: "order-421"}, task, false},
		"another prefix":          {Query{Prefix: "tea"}, task, false},
		"its kind":                {Query{Kind: "mail"}, task, true},
		"another kind":            {Query{Kind: "tea"}, task, false},
		"its second tag":          {Query{Tag: "b"}, task, true},
		"another tag":             {Query{Tag: "c"}, task, false},
		"its state":               {Query{State: Pending}, task, true},
		"another state":           {Query{State: Active}, task, false},
		"paused, and it is":       {Query{Paused: true}, &paused, true},
		"paused, and it is not":   {Query{Paused: true}, task, false},
		"due from its instant on": {Query{DueFrom: due}, task, true},
		"due from before":         {Query{DueFrom: due.Add(-time.Second)}, task, true},
		"due from later on":       {Query{DueFrom: due.Add(time.Microsecond)}, task, false},
		"due until its instant":   {Query{DueUntil: due}, task, true},
		"due until later":         {Query{DueUntil: due.Add(time.Second)}, task, true},
		"due until before":        {Query{DueUntil: due.Add(-time.Microsecond)}, task, false},
		"all at once":             {Query{Prefix: "o", Kind: "mail", Tag: "a", State: Pending, DueFrom: due, DueUntil: due}, task, true},
	} {
		if got := tt.q.matches(tt.t); got != tt.want {
			t.Errorf("%s: %t, want %t", what, got, tt.want)
		}
	}
}
