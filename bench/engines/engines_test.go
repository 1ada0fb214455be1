package engines

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestTasks(t *testing.T) {
	seen := make(map[string]bool)
	for i := range uint64(1000) {
		x := Task{ID: i}
		p := x.Payload()
		if len(p) != 201 || len(x.Name()) != 22 || IDOf(p) != i || seen[x.Name()] {
			t.Fatalf("task %d has a name %q and a payload %q of %d bytes", i, x.Name(), p, len(p))
		}
		seen[x.Name()] = true
	}
	for _, n := range []int{1, 100, 2000, 100_000} {
		all := make([]bool, n)
		for i := range n {
			all[Shuffled(i, n)] = true
		}
		for i, ok := range all {
			if !ok {
				t.Fatalf("of %d, %d is never reached", n, i)
			}
		}
	}
}

func TestBatches(t *testing.T) {
	const n = 2*Batch + 7
	var mu sync.Mutex
	seen := make([]int, n)
	var sizes []int
	err := Batches(n, 3, func(i int) Task { return Task{ID: uint64(i)} }, func(tasks []Task) error {
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, len(tasks))
		for _, x := range tasks {
			seen[x.ID]++
		}
		return nil
	})
	slices.Sort(sizes)
	if err != nil || !slices.Equal(sizes, []int{7, Batch, Batch}) || slices.ContainsFunc(seen, func(times int) bool { return times != 1 }) {
		t.Errorf("batches of %v, error %v, tasks that were not handed over once: %v", sizes, err, slices.IndexFunc(seen, func(times int) bool { return times != 1 }))
	}
	broken := errors.New("broken")
	calls := 0
	err = Batches(n, 1, func(int) Task { return Task{} }, func([]Task) error { calls++; return broken })
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("after an error: %v, %d calls", err, calls)
	}
}

func TestBeginnings(t *testing.T) {
	b := NewBeginnings(3)
	start := time.Now()
	b.Note(2)
	b.Note(2)
	b.Note(0)
	if ran, once := b.Counts(); ran != 3 || once != 2 {
		t.Errorf("%d attempts of %d tasks, want 3 of 2", ran, once)
	}
	select {
	case <-b.All:
		t.Error("all have begun, although one has not")
	default:
	}
	late, early := b.Late(func(id int) time.Time {
		if id == 2 {
			return start.Add(time.Hour)
		}
		return start.Add(-time.Hour)
	})
	slices.Sort(late)
	if len(late) != 2 || early != 1 || late[0] >= 0 || late[1] < time.Hour {
		t.Errorf("late %v, early %d", late, early)
	}
	b.Note(1)
	<-b.All
}
