package clusterproof_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/internal/verdict"
)

// A row is what a case has found.
type row struct {
	name                        string
	faults                      int // how often something was broken
	acknowledged, unanswered    int
	begun, completed            int
	lost, early, stale          int
	forgotten                   int // acknowledged, and lost as it may be where the standby is asynchronous
	doubled, overlapped, thawed int // explained by what was broken
	takeovers                   []time.Duration
	note                        string
	healed                      time.Duration
	took                        time.Duration
}

func (r *row) add(records []verdict.Record) {
	for i := range records {
		switch e := &records[i]; e.Op {
		case verdict.Asked:
			r.unanswered++
		case verdict.Answered:
			r.unanswered--
		case verdict.Put, verdict.Moved, verdict.Cancelled, verdict.TooLate:
			r.acknowledged++
			r.unanswered--
		case verdict.Begin:
			r.begun++
		case verdict.End:
			if e.Completed {
				r.completed++
			}
		default:
		}
	}
}

// taken tells of the takeovers, "" if none was measured.
func (r *row) taken() string {
	if len(r.takeovers) == 0 {
		return ""
	}
	ms := func(percent int) string { return fmt.Sprintf("%d ms", quantile(r.takeovers, percent).Milliseconds()) }
	if len(r.takeovers) == 1 {
		return ms(100)
	}
	return ms(50) + ", worst " + ms(100)
}

func (r *row) String() string {
	s := fmt.Sprintf("%d faults, %d acknowledged (%d never answered), %d attempts, %d completed: lost %d, early %d, stale %d; doubled %d, overlapped %d, begun late by a thawed process %d",
		r.faults, r.acknowledged, r.unanswered, r.begun, r.completed, r.lost, r.early, r.stale, r.doubled, r.overlapped, r.thawed)
	if r.forgotten > 0 {
		s += fmt.Sprintf("; forgotten %d", r.forgotten)
	}
	if taken := r.taken(); taken != "" {
		s += "; takeover " + taken
	}
	if r.note != "" {
		s += "; " + r.note
	}
	return s + fmt.Sprintf("; healed in %v, all in %v", r.healed.Round(time.Millisecond), r.took.Round(time.Millisecond))
}

// A report is the rows of all cases.
type report struct {
	began time.Time
	mu    sync.Mutex
	rows  []row
}

var results = report{began: time.Now()}

func (r *report) add(of *row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, *of)
}

const reportHead = `# Faults of several processes on one PostgreSQL server

Written by ` + "`make test-cluster-long`" + ` (module ` + "`internal/clusterproof`" + `) on %s in %s. The next run replaces it.

Several real processes put, move, cancel and run tasks on one server: one-offs due within 300 ms and others due in hours, recurring tasks,
failures that are tried again, snoozes. Something is broken in the middle, heals, and everything is run to its end. What each process
asked, was answered and ran is in a log of its own, outside of the database, and is judged afterwards, with the history and what is left in
the store.

| what | value |
|---|---|
| system | %s/%s, %d cores, shared |
| Go | %s |
| PostgreSQL | %s |
| load average at the end | %s |

Lost: acknowledged, and not run or not there. Early: begun before due. Stale: an outcome that the store took although the name's next
attempt had begun. These must be 0. Doubled and overlapping attempts are counted if what was broken explains them, which is that one of the
two was under way then; any other fails the run. Late by a thawed process are attempts that a process began just after it had stood still,
although they had been taken from it: it can't know, and what it asks of the store then is refused. Takeover is how long it took until
somebody else began a task of those that the process had: median and worst. On a machine that has more to do than it has cores for, it is
about the machine.

| case | broken | acknowledged | attempts | lost | early | stale | doubled | overlapping | thawed | takeover | more |
|---|---|---|---|---|---|---|---|---|---|---|---|
`

// write writes the report as a page.
func (r *report) write(path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	server := "none"
	if v := pgtest.Versions(); len(v) > 0 {
		server = strconv.Itoa(v[len(v)-1].Major)
	}
	var b strings.Builder
	fmt.Fprintf(&b, reportHead, time.Now().UTC().Format("2006-01-02 15:04 UTC"), time.Since(r.began).Round(time.Second),
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), server, busy())
	slices.SortStableFunc(r.rows, func(x, y row) int { return cmp.Compare(x.name, y.name) })
	for i := range r.rows {
		x := &r.rows[i]
		more := x.note
		if x.forgotten > 0 {
			more = strings.TrimPrefix(more+fmt.Sprintf("; %d acknowledged were lost with the primary, as they may be", x.forgotten), "; ")
		}
		_, name, _ := strings.Cut(x.name, "/")
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", name, x.faults, x.acknowledged, x.begun,
			x.lost, x.early, x.stale, x.doubled, x.overlapped, x.thawed, x.taken(), more)
	}
	return os.WriteFile(filepath.Clean(path), []byte(b.String()), 0o644)
}

// busy is how much the machine has to do, as far as it tells.
func busy() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "not known"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
