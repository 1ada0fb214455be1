package timer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		t0 := time.Now()
		out := make(chan string, 100)
		put := func(name string, s schedule.Schedule, opts ...timer.Option) timer.Task {
			task, err := e.Put(name, s, func(ctx context.Context) error {
				a, _ := timer.TaskFrom(ctx)
				out <- fmt.Sprintf("%s@%v for %v missed %d", name, time.Since(t0), a.ScheduledFor.Sub(t0), a.Missed)
				if name == "A" {
					panic("boo")
				}
				if name == "slow" {
					time.Sleep(350 * time.Millisecond)
				}
				return nil
			}, opts...)
			if err != nil {
				t.Fatal(err)
			}
			return task
		}
		put("A", schedule.After(3*time.Second))
		put("B", schedule.After(2*time.Second))
		put("C", schedule.After(time.Second))
		put("D", schedule.After(7*time.Second))
		put("X", schedule.After(5*time.Second))
		put("AT", schedule.At(t0.Add(4*time.Second)))
		put("ev", schedule.Every(10*time.Second).Times(3))
		put("slow", schedule.Every(100*time.Millisecond).From(time.Now().Add(20*time.Second)).Times(4), timer.Overlap(timer.BufferAll(10)))
		e.AfterFunc(6*time.Second, func() { out <- "F" })
		if c := e.Cancel("X"); c != timer.Cancelled {
			t.Fatal(c)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		left, err := e.Close(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range left.NotRun() {
			t.Error(i)
		}
		close(out)
		for s := range out {
			t.Log(s)
		}
		t.Logf("%+v", func() timer.Stats { s := e.Stats(); s.Lateness, s.Wake, s.Slot = timer.Histogram{}, timer.Histogram{}, timer.Histogram{}; return s }())
		if _, err := e.Put("z", schedule.After(0), timer.Plain(func() {})); !errors.Is(err, timer.ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestSmokeReal(t *testing.T) {
	e := timer.New()
	done := make(chan time.Duration, 1)
	t0 := time.Now()
	e.AfterFunc(20*time.Millisecond, func() { done <- time.Since(t0) })
	t.Log(<-done)
	e.Close(context.Background())
}

func BenchmarkPutCancel(b *testing.B) {
	e := timer.New()
	defer e.Close(context.Background())
	f := timer.Plain(func() {})
	for i := range 1_000_000 {
		e.Put(fmt.Sprint("task-", i), schedule.After(time.Hour+time.Duration(i)*time.Millisecond), f)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Put("hot", schedule.After(20*time.Millisecond), f)
		e.Cancel("hot")
	}
}

func BenchmarkAF(b *testing.B) {
	e := timer.New()
	defer e.Close(context.Background())
	f := func() {}
	b.ReportAllocs()
	for b.Loop() {
		e.AfterFunc(20*time.Millisecond, f).Stop()
	}
}
