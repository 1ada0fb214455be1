package dulytest_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/dulytest"
	"github.com/dulyhq/duly/schedule"
)

// t stands for the test's, which an example does not have.
var t testing.TB = exampleT{}

type exampleT struct{ testing.TB }

func (exampleT) Helper()                           {}
func (exampleT) Context() context.Context          { return context.Background() }
func (exampleT) Output() io.Writer                 { return io.Discard }
func (exampleT) Cleanup(func())                    {} // with the last task gone nothing is left behind
func (exampleT) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Signing up schedules a reminder in three days, which sends a mail unless it is cancelled: none of which takes any time to test.
func Example() {
	d := dulytest.New(t)
	var mails []string
	remind := duly.Handle(d.Scheduler, "reminder", func(_ context.Context, a *duly.Attempt[string]) error {
		mails = append(mails, a.Payload)
		return nil
	})
	signUp := func(name string) {
		if _, err := remind.Put(t.Context(), "reminder/"+name, name+"@example.org", schedule.After(72*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}

	signUp("ada")
	signUp("bob")
	dulytest.RequireScheduled(t, d.Scheduler, "reminder/ada", d.Now(t).Add(72*time.Hour))

	if _, err := d.Cancel(t.Context(), "reminder/bob"); err != nil {
		t.Fatal(err)
	}
	for _, r := range d.RunFor(t, 100*time.Hour) {
		fmt.Println(r)
	}
	fmt.Println(mails)
	dulytest.RequireNone(t, d.Scheduler, duly.Query{})
	// Output:
	// reminder "reminder/ada" for 2000-01-04T00:00:00Z, attempt 1: done
	// [ada@example.org]
}

// What a program has scheduled when it starts, and when each is to run next.
func ExampleScheduled() {
	d := dulytest.New(t)
	report := duly.Declare[string](d.Scheduler, "report")
	for name, s := range map[string]schedule.Schedule{
		"nightly": schedule.Cron("0 3 * * *"), "hourly": schedule.Every(time.Hour), "once": schedule.After(10 * time.Hour),
	} {
		if _, err := report.Put(t.Context(), name, "", s); err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range dulytest.Scheduled(t, d.Scheduler, duly.Query{Kind: "report"}) {
		fmt.Println(task.Name, task.Schedule, "next", task.Due.Format(time.TimeOnly))
	}
	midnight := d.Now(t)
	dulytest.RequireScheduled(t, d.Scheduler, "nightly", midnight.Add(3*time.Hour), midnight.Add(27*time.Hour))
	// Output:
	// hourly every 1h next 01:00:00
	// nightly cron 0 3 * * * next 03:00:00
	// once in 10h next 10:00:00
}
