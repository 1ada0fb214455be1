package target_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dulyhq/duly/target"
)

// Who follows gets everything in its order, from the files and from memory, woken by the writer, until the end.
func TestFollow(t *testing.T) {
	o, _ := opened(t, t.TempDir(), target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1<<20)
	write(t, r.Stdout(), "line 0\n")
	var readers sync.WaitGroup
	first := make(chan struct{}, 4)
	for range 4 {
		readers.Go(func() {
			want := 0
			var all strings.Builder
			for c, err := range o.Chunks(t.Context(), "ns", "tea", "ns/tea@1@5", 1, true) {
				if err != nil || c.Omitted != 0 {
					t.Errorf("%+v, %v", c, err)
				}
				if all.Len() == 0 {
					first <- struct{}{}
				}
				all.Write(c.Data)
			}
			for line := range strings.Lines(all.String()) {
				if line != fmt.Sprintf("line %d\n", want) {
					t.Errorf("got %q, want line %d", line, want)
					break
				}
				want++
			}
			if want != 10_000 {
				t.Errorf("%d lines", want)
			}
		})
	}
	for range 4 {
		<-first
	}
	for i := 1; i < 10_000; i++ {
		write(t, r.Stdout(), fmt.Sprintf("line %d\n", i))
	}
	r.End(target.OutcomeDone, "")
	readers.Wait()
}

// Who follows and is slow misses what is not kept, and is told how much.
func TestFollowSlowly(t *testing.T) {
	o, _ := opened(t, t.TempDir(), target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1000)
	write(t, r.Stdout(), "begin\n")
	var got, omitted int64
	for c, err := range o.Chunks(t.Context(), "ns", "tea", "ns/tea@1@5", 1, true) {
		if err != nil {
			t.Fatal(err)
		}
		if got == 0 {
			for range 100 {
				write(t, r.Stdout(), strings.Repeat("x", 99)+"\n")
			}
			r.End(target.OutcomeDone, "")
		}
		got, omitted = got+int64(len(c.Data)), omitted+c.Omitted
	}
	if got != 1000 || omitted != 6+10_000-1000 {
		t.Errorf("got %d bytes, %d left out", got, omitted)
	}
}

func TestFollowEnds(t *testing.T) {
	o, _ := opened(t, t.TempDir(), target.OutputOptions{})
	r := o.Begin(info("tea", 1), 1000)
	write(t, r.Stdout(), "x")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	end := func(ctx context.Context, stop func()) (last error) {
		for _, err := range o.Chunks(ctx, "ns", "tea", "ns/tea@1@5", 1, true) {
			if last = err; err == nil {
				stop()
			}
		}
		return last
	}
	if err := end(ctx, func() { cancel(cause) }); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	for _, err := range o.Chunks(t.Context(), "ns", "tea", "ns/tea@1@5", 1, true) {
		if err != nil {
			t.Error(err)
		}
		break // who has enough is not held up
	}
	if err := end(t.Context(), func() { _ = o.Close() }); err == nil {
		t.Error("Close has not ended who follows")
	}
	r.End(target.OutcomeDone, "") // after Close: it is not kept
	if _, err := o.Attempts(t.Context(), "ns", "tea", 1); err == nil {
		t.Error("read after Close")
	}
}
