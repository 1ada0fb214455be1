package schedule_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// accepted stands for the instant at which a scheduler accepts a schedule.
var accepted = time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)

func print3(r schedule.Rule) {
	n := 0
	for o := range r.Preview(accepted) {
		fmt.Println(o.Due.Format("2006-01-02 15:04:05.000"))
		if n++; n == 3 {
			return
		}
	}
}

func ExampleAfter() {
	tea := schedule.After(5 * time.Minute)
	fmt.Println(tea)
	fmt.Println(tea.Bind("tea", accepted).First())
	// Output:
	// in 5m
	// 2026-12-24 12:05:00 +0000 UTC
}

func ExampleAt() {
	s := schedule.At(time.Date(2026, 12, 24, 18, 0, 0, 0, time.FixedZone("CET", 3600)))
	fmt.Println(s)
	// Output: at 2026-12-24T17:00:00Z
}

func ExampleEvery() {
	print3(schedule.Every(15*time.Minute).Bind("sync", accepted))
	// Output:
	// 2026-12-24 12:15:00.000
	// 2026-12-24 12:30:00.000
	// 2026-12-24 12:45:00.000
}

func ExamplePace() {
	r := schedule.Pace(10*time.Second).Bind("poll", accepted)
	fmt.Println(r.First().Format(time.TimeOnly))
	end := r.First().Add(4 * time.Second) // the first run takes 4 s
	fmt.Println(r.Next(end).Format(time.TimeOnly))
	// Output:
	// 12:00:10
	// 12:00:24
}

func ExamplePaceFromStart() {
	r := schedule.PaceFromStart(10*time.Second).Bind("poll", accepted)
	start := r.First() // however long the run takes
	fmt.Println(r.Next(start).Format(time.TimeOnly))
	// Output: 12:00:20
}

func ExampleSchedule_AlignTo() {
	midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	print3(schedule.Every(6*time.Hour).AlignTo(midnight).Bind("rounds", accepted))
	// Output:
	// 2026-12-24 18:00:00.000
	// 2026-12-25 00:00:00.000
	// 2026-12-25 06:00:00.000
}

func ExampleSchedule_Jitter() {
	s := schedule.Every(time.Hour).Jitter(time.Minute)
	print3(s.Bind("order-42", accepted)) // the same on every node, and after a restart
	// Output:
	// 2026-12-24 13:00:33.346
	// 2026-12-24 14:00:33.346
	// 2026-12-24 15:00:33.346
}

func ExampleSchedule_Times() {
	s := schedule.Every(time.Hour).From(accepted).Times(2)
	print3(s.Bind("reminder", accepted))
	// Output:
	// 2026-12-24 12:00:00.000
	// 2026-12-24 13:00:00.000
}

func ExampleSchedule_Until() {
	s := schedule.Every(time.Hour).Until(accepted.Add(2 * time.Hour))
	print3(s.Bind("reminder", accepted))
	// Output:
	// 2026-12-24 13:00:00.000
	// 2026-12-24 14:00:00.000
}

func ExampleSchedule_Err() {
	s := schedule.Every(time.Minute).Jitter(time.Hour)
	fmt.Println(s.Err())
	// Output: schedule: jitter "1h": want less than the period 1m
}

func ExampleParse() {
	s, err := schedule.Parse("every 15m jitter 30s until 2027-01-01")
	fmt.Println(s, err)
	_, err = schedule.Parse("every 1d")
	fmt.Println(err)
	// Output:
	// every 15m until 2027-01-01T00:00:00Z jitter 30s <nil>
	// schedule: at byte 8: every "1d": want hours, since days and weeks belong to calendars: 24h
}

func ExampleSchedule_MarshalText() {
	b, err := json.Marshal(map[string]schedule.Schedule{"beat": schedule.Every(10 * time.Second)})
	fmt.Println(string(b), err)
	// Output: {"beat":"every 10s"} <nil>
}

func ExampleRule_Count() {
	r := schedule.Every(time.Second).Bind("beat", accepted)
	asleep, awake := accepted.Add(time.Minute), accepted.AddDate(1, 0, 0)
	fmt.Println(r.Count(asleep, awake), "missed in a year")
	fmt.Println("next", r.Next(awake).Format(time.DateTime))
	// Output:
	// 31535940 missed in a year
	// next 2027-12-24 12:00:01
}
