package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This is row 13 of the targets: what one call of Next costs, for random rules at random instants. Each package runs in a
// process of its own, since some calls of some packages never return: a call that takes longer than hangLimit ends the process
// and counts as hung, and a new process goes on behind it.

const (
	schedulesVariable = "DULY_BENCH_SCHEDULES" // package, set, seed, number of cases, first pass, first case
	hangLimit         = 2 * time.Second
	schedulePasses    = 3
)

// A scheduleCase is one question: when is the next occurrence of the expression after the instant.
type scheduleCase struct {
	kind, expr, zone string
	start            time.Time // of a recurrence, as the clock reads
	from             time.Time
}

// text is the case's rule in the text form.
func (c scheduleCase) text() string {
	text := c.kind + " " + c.expr
	if c.kind == "rrule" {
		text += c.start.Format(" DTSTART:20060102T150405")
	}
	return text + " in " + c.zone
}

// scheduleSets are the kinds of cases.
var scheduleSets = []struct{ name, title string }{
	{"common", "rules that all packages read"},
	{"all", "every form that duly reads, its policies included"},
	{"hard", "rules that are rare, or never come again, where clocks change"},
	{"rrule", "recurrences of iCalendar that have begun not long ago"},
	{"rrule-rare", "recurrences that are rare, or choose among many, begun in 1970"},
	{"calendar", "calendar lines of systemd"},
}

var scheduleZones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Asia/Beirut",
	"Pacific/Apia", "Europe/Dublin", "Africa/Casablanca", "Antarctica/Troll", "America/Sao_Paulo", "America/St_Johns", "Asia/Kolkata",
}

var hardRules = []string{
	"0 0 29 2 *", "0 0 30 12 *", "30 2 29 2 *", "30 2 * 3 *", "59 23 31 12 *", "30 1 25-31 10 *", "0 0 31 1 *", "30 2 31 3 *",
	"0 0 29 2 * days and", "0 0 29 2 mon days and", "30 2 * 3 sunl gap skip", "30 2 25-31 3 sun gap skip days and", "0 0 l-30 * *",
	"0 0 29w 2 *", "0 0 31 * mon#5 days and", "0 0 0 1 1 * 9999", "0 0 0 1 1 * 1971", "59 59 23 31 12 * 2096-9999/400",
}

// makeCases makes up the cases of a set; a seed always gives the same ones.
func makeCases(set string, seed uint64, n int) []scheduleCase {
	r := rand.New(rand.NewPCG(seed, 13))
	cases := make([]scheduleCase, n)
	for i := range cases {
		c := scheduleCase{kind: "cron", zone: scheduleZones[r.IntN(len(scheduleZones))]}
		c.from = time.Unix(r.Int64N(130*365*86400), r.Int64N(1e9)).UTC()
		switch set {
		case "hard":
			c.expr = hardRules[r.IntN(len(hardRules))]
		case "rrule", "rrule-rare":
			c.kind = "rrule"
			recurrence(r, set == "rrule-rare", &c)
		case "calendar":
			c.kind, c.expr = "calendar", calendarLine(r)
		case "all":
			c.expr = madeUp(r, true)
		default:
			c.expr = madeUp(r, false)
		}
		cases[i] = c
	}
	return cases
}

// madeUp makes up an expression, with duly's own forms or without.
func madeUp(r *rand.Rand, own bool) string {
	field := func(lo, hi int) string {
		a, b := lo+r.IntN(hi-lo+1), lo+r.IntN(hi-lo+1)
		switch r.IntN(8) {
		case 0, 1, 2:
			return "*"
		case 3:
			return fmt.Sprintf("*/%d", 1+r.IntN(hi-1))
		case 4:
			return fmt.Sprintf("%d-%d", min(a, b), max(a, b))
		case 5:
			if own {
				return fmt.Sprintf("%d-%d/%d", a, b, 1+r.IntN(hi-1)) // may go around
			}
			return fmt.Sprintf("%d,%d", a, b)
		}
		return strconv.Itoa(a)
	}
	dom, dow := field(1, 31), field(0, 6)
	if r.IntN(2) == 0 {
		dom = "*"
	}
	if r.IntN(2) == 0 {
		dow = "*"
	}
	if own && r.IntN(4) == 0 {
		dom = []string{"l", "lw", "15w", "l-7", "31w", "h", "1,l", "l-2w"}[r.IntN(8)]
	}
	if own && r.IntN(4) == 0 {
		dow = []string{"fril", "mon#1", "sun#5", "tue#2,thu#4", "h"}[r.IntN(5)]
	}
	expr := strings.Join([]string{field(0, 59), field(0, 23), dom, field(1, 12), dow}, " ")
	if !own {
		return expr
	}
	if r.IntN(3) == 0 {
		expr = field(0, 59) + " " + expr
		if r.IntN(3) == 0 {
			expr += fmt.Sprintf(" %d-%d", 1970+r.IntN(60), 2030+r.IntN(100))
		}
	}
	expr += []string{"", " gap skip", " gap shift"}[r.IntN(3)] + []string{"", " fold second", " fold both"}[r.IntN(3)]
	return expr + []string{"", " days and"}[r.IntN(2)]
}

// A tick is one timed call.
type tick struct {
	pass, index int
	nanos       int64
	answer      int64 // Unix seconds; 0 for never, -1 where the package refuses the rule
	hung        bool
}

// scheduleChild answers the cases of one package and set, pass by pass, and writes a line for each.
func scheduleChild(spec string, out io.Writer) int {
	f := strings.Fields(spec)
	seed, _ := strconv.ParseUint(f[2], 10, 64)
	var at [3]int
	for i := range at {
		at[i], _ = strconv.Atoi(f[3+i])
	}
	n, pass, index := at[0], at[1], at[2]
	cases := makeCases(f[1], seed, n)
	ask := make([]func(time.Time) time.Time, n)
	froms := make([]time.Time, n)
	for i, c := range cases {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			_, _ = fmt.Fprintln(out, "error", err)
			return 1
		}
		ask[i], froms[i] = schedulePackage(f[0]).read(c, loc), c.from.In(loc)
	}
	w := bufio.NewWriter(out)
	ticks := make([]tick, 0, n)
	progress := make(chan int, 1)
	for ; pass < schedulePasses; pass, index = pass+1, 0 {
		ticks = ticks[:0]
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		done := make(chan int)
		go func() {
			for i := index; i < n; i++ {
				if ask[i] == nil {
					ticks = append(ticks, tick{index: i, answer: -1})
					continue
				}
				start := time.Now()
				next := ask[i](froms[i])
				took := time.Since(start)
				answer := int64(0)
				if !next.IsZero() {
					answer = next.Unix()
				}
				ticks = append(ticks, tick{index: i, nanos: int64(took), answer: answer})
				select {
				case progress <- i:
				default:
				}
			}
			close(done)
		}()
		last := index
		hung := waitFor(done, progress, &last)
		runtime.ReadMemStats(&after)
		for _, t := range ticks {
			_, _ = fmt.Fprintln(w, pass, t.index, t.nanos, t.answer)
		}
		if hung {
			_, _ = fmt.Fprintln(w, "hung", pass, index+len(ticks))
			_ = w.Flush()
			return 0
		}
		_, _ = fmt.Fprintln(w, "allocs", float64(after.Mallocs-before.Mallocs)/float64(max(1, len(ticks))))
	}
	_ = w.Flush()
	return 0
}

// waitFor waits until the pass is over, or one call has taken longer than hangLimit.
func waitFor(done <-chan int, progress <-chan int, last *int) (hung bool) {
	timer := time.NewTimer(hangLimit)
	for {
		select {
		case <-done:
			return false
		case *last = <-progress:
			timer.Reset(hangLimit)
			time.Sleep(time.Millisecond) // so that the watch costs nothing
		case <-timer.C:
			return true
		}
	}
}

// scheduleCell is what one package made of one set.
type scheduleCell struct {
	ticks  []tick // of all passes
	allocs float64
	hung   int
	first  map[int]int64 // answers of the first pass
}

// measureSchedules runs one package on one set, again and again behind calls that hang.
func measureSchedules(ctx context.Context, pack, set string, seed uint64, n int, stderr io.Writer) (cell scheduleCell, err error) {
	cell.first = map[int]int64{}
	self, err := os.Executable()
	if err != nil {
		return cell, fmt.Errorf("find executable: %w", err)
	}
	for pass, index := 0, 0; pass < schedulePasses; {
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %d %d %d", schedulesVariable, pack, set, seed, n, pass, index))
		cmd.Stderr = stderr
		out, err := cmd.Output()
		if err != nil {
			return cell, fmt.Errorf("measure %s: %w", pack, err)
		}
		hung := false
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			switch f[0] {
			case "allocs":
				cell.allocs, _ = strconv.ParseFloat(f[1], 64)
			case "hung":
				hung = true
				p, _ := strconv.Atoi(f[1])
				i, _ := strconv.Atoi(f[2])
				cell.ticks = append(cell.ticks, tick{pass: p, index: i, nanos: int64(hangLimit), hung: true})
				pass, index = p, i+1
				cell.hung++
			default:
				var t tick
				t.pass, _ = strconv.Atoi(f[0])
				t.index, _ = strconv.Atoi(f[1])
				t.nanos, _ = strconv.ParseInt(f[2], 10, 64)
				t.answer, _ = strconv.ParseInt(f[3], 10, 64)
				if t.pass == 0 {
					cell.first[t.index] = t.answer
				}
				if t.answer != -1 {
					cell.ticks = append(cell.ticks, t)
				}
			}
		}
		if !hung {
			break
		}
		if cell.hung >= 60 {
			return cell, nil // enough to say what it is like
		}
	}
	return cell, nil
}

// scheduleFigures are quantiles in nanoseconds: of all calls, and of the shortest call of each case.
type scheduleFigures struct{ p50, p99, p9999, most, leastP9999, leastMost int64 }

func (c scheduleCell) figures() (f scheduleFigures) {
	var all []int64
	byCase := map[int]int64{}
	for _, t := range c.ticks {
		all = append(all, t.nanos)
		if b, ok := byCase[t.index]; !ok || t.nanos < b {
			byCase[t.index] = t.nanos
		}
	}
	if len(all) == 0 {
		return f
	}
	least := slices.Sorted(maps.Values(byCase))
	slices.Sort(all)
	at := func(all []int64, q float64) int64 { return all[min(len(all)-1, int(q*float64(len(all))))] }
	return scheduleFigures{at(all, 0.5), at(all, 0.99), at(all, 0.9999), at(all, 1), at(least, 0.9999), at(least, 1)}
}
