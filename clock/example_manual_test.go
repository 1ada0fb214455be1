package clock_test

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dulyhq/duly/clock"
)

// An owner keeps its own set of deadlines and asks the alarm for the next one.
func ExampleAlarm() {
	clk := clock.System()
	done := make(chan struct{})
	start := clk.Read()
	alarm := clk.NewAlarm(func() {
		// A wake is a hint: look at the clock.
		if clk.Read().Boot >= start.Boot+int64(10*time.Millisecond) {
			close(done)
		}
	})
	defer alarm.Close()
	alarm.Set(start.Boot+int64(10*time.Millisecond), clock.Never)
	<-done
	fmt.Println("ten milliseconds later, never earlier")
	// Output: ten milliseconds later, never earlier
}

func ExampleManual() {
	ctx := context.Background()
	clk := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	var alarm clock.Alarm
	alarm = clk.NewAlarm(func() {
		now := clk.Read()
		fmt.Println("woken", time.Duration(now.Boot), "after the start, at", time.Unix(0, now.Wall).UTC().Format("15:04"))
		if now.Boot < int64(time.Hour) {
			alarm.Set(now.Boot+int64(40*time.Minute), clock.Never)
		}
	})
	defer alarm.Close()
	alarm.Set(int64(30*time.Minute), clock.Never)

	// Time stops at each deadline, and the wake has returned when Run goes on.
	if err := clk.Run(ctx, 2*time.Hour); err != nil {
		fmt.Println(err)
	}
	fmt.Println(time.Duration(clk.Read().Boot), "have passed")
	// Output:
	// woken 30m0s after the start, at 12:30
	// woken 1h10m0s after the start, at 13:10
	// 2h0m0s have passed
}

func ExampleManual_Advance() {
	clk := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	alarm := clk.NewAlarm(func() { fmt.Println("woken") })
	defer alarm.Close()
	alarm.Set(int64(time.Second), clock.Never)

	move := clk.Advance(time.Minute)
	if err := move.Wait(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println("moved", move.Moved, "left", move.Left)
	// Output:
	// woken
	// moved 1s left 59s
}

func ExampleManual_Step() {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clk := clock.NewManual(start)
	alarm := clk.NewAlarm(func() { fmt.Println("woken at", time.Unix(0, clk.Read().Wall).UTC().Format("15:04")) })
	defer alarm.Close()
	alarm.Set(clock.Never, start.Add(time.Hour).UnixNano())

	// Somebody sets the wall clock back. The deadline stays, half an hour
	// further away, and the alarm says that there is something to look at.
	if err := clk.Step(-30 * time.Minute).Wait(context.Background()); err != nil {
		fmt.Println(err)
	}
	if err := clk.Run(context.Background(), 2*time.Hour); err != nil {
		fmt.Println(err)
	}
	// Output:
	// woken at 11:30
	// woken at 13:00
}

// A trap moves time at the worst moment: after the code under test has
// computed a deadline, before it has set the alarm.
func ExampleManual_Trap() {
	ctx := context.Background()
	clk := clock.NewManual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	alarm := clk.NewAlarm(func() { fmt.Println("woken", time.Duration(clk.Read().Boot), "after the start") })
	defer alarm.Close()

	trap := clk.Trap(clock.CallSet)
	defer trap.Close()
	go alarm.Set(clk.Read().Boot+int64(time.Second), clock.Never)
	held, err := trap.Wait(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("about to set", time.Duration(held.Boot), held.Wall == math.MaxInt64)
	clk.Advance(time.Hour)
	if err := held.Release(ctx); err != nil {
		fmt.Println(err)
	}
	if err := clk.Idle(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// about to set 1s true
	// woken 1h0m0s after the start
}
