package notice

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// What a notice is about.
const (
	Dead    = "dead"    // a run is not tried again
	Expired = "expired" // a one-off could not start in time, and has not run
	Late    = "late"    // an attempt began too late, or is due for too long and has not begun
	Summary = "summary" // what was held back
)

// mostText is how many bytes an error, or a reason, has at most in a notice: with names of the greatest length one has less than 64 KiB.
const mostText = 4 << 10

// A Notice is what a receiver is told.
type Notice struct {
	ID        string `json:"id"` // the same whenever this is told again
	What      string `json:"what"`
	Text      string `json:"text"`   // a sentence
	Daemon    string `json:"daemon"` // the machine that tells it
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Kind      string `json:"kind,omitempty"`
	RunID     string `json:"run_id,omitempty"`

	ScheduledFor *time.Time `json:"scheduled_for,omitempty"`
	DueAt        *time.Time `json:"due_at,omitempty"`
	StartedAt    *time.Time `json:"started_at,omitempty"` // absent: it has not
	At           time.Time  `json:"at"`                   // when it was so

	Attempts int              `json:"attempts,omitempty"`
	Lateness *target.Duration `json:"lateness,omitempty"`
	Error    string           `json:"error,omitempty"` // how the last attempt ended
	Why      string           `json:"why,omitempty"`   // of what has not started: what it waits for

	HeldBack *HeldBack `json:"held_back,omitempty"`
}

// HeldBack is what a summary sums up.
type HeldBack struct {
	Count   int64     `json:"count"`
	Dead    int64     `json:"dead"`
	Expired int64     `json:"expired"`
	Late    int64     `json:"late"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Tasks   []string  `json:"tasks"` // some of them
}

// JSON is the notice as it is sent: one line.
func (n *Notice) JSON() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(n); err != nil { // an instant beyond the year 9999, which no store has
		return []byte(`{"id":` + strconv.Quote(n.ID) + "}\n")
	}
	return b.Bytes()
}

// idOf is short, and the same for the same thing.
func idOf(what string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return what + "-" + hex.EncodeToString(sum[:10])
}

// runID is as the attempt's handler has it.
func runID(ev *duly.Event) string {
	name := ev.Name
	if ev.Namespace != "" {
		name = ev.Namespace + "/" + name
	}
	var at int64
	if !ev.ScheduledFor.IsZero() {
		at = ev.ScheduledFor.UnixMicro()
	}
	return fmt.Sprintf("%s@%d@%d", name, ev.Generation, at)
}

// lateID is that of an attempt that is late, whether it has begun or not.
func lateID(run string, attempt int) string { return idOf(Late, run, strconv.Itoa(attempt)) }

// noticeOf tells of an entry of the history; what it is about is known.
func (t *teller) noticeOf(ev *duly.Event, what string, since time.Time) *Notice {
	n := &Notice{
		What: what, Daemon: t.o.Daemon, Namespace: ev.Namespace, Name: ev.Name, Kind: ev.Kind, RunID: runID(ev),
		ScheduledFor: instant(ev.ScheduledFor), DueAt: instant(ev.Due), StartedAt: instant(ev.StartedAt), At: ev.At.UTC(), Attempts: ev.Attempt,
		Error: t.shown(ev.Reason),
	}
	name := strconv.Quote(shortName(ev.Namespace, ev.Name))
	if !ev.StartedAt.IsZero() && !ev.Due.IsZero() {
		n.Lateness = new(target.Duration(max(ev.StartedAt.Sub(since), 0)))
	}
	switch what {
	case Dead:
		n.ID = idOf(Dead, n.RunID, strconv.FormatInt(ev.Seq, 10))
		n.Text = fmt.Sprintf("%s is dead after attempt %d: %s", name, ev.Attempt, cmp.Or(n.Error, "no reason was given"))
		if ev.Attempt == 0 {
			n.Text = name + " is dead, and was not tried: " + n.Error
		}
	case Expired:
		n.ID = idOf(Expired, n.RunID, strconv.FormatInt(ev.Seq, 10))
		n.Text = fmt.Sprintf("%s has expired and did not run: it was due at %s", name, ev.Due.UTC().Format(time.RFC3339))
	case Late:
		n.ID = lateID(n.RunID, ev.Attempt)
		n.Text = fmt.Sprintf("%s began %v late: attempt %d was due at %s", name, *n.Lateness, ev.Attempt, ev.Due.UTC().Format(time.RFC3339))
		n.Error = "" // that of an attempt which may be tried again
	}
	return n
}

// shown is a text without what is secret, and not too long.
func (t *teller) shown(s string) string {
	if t.o.Hide != nil {
		s = t.o.Hide(s)
	}
	return cut(s, mostText)
}

// cut shortens a text to so many bytes, between two characters.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most-len("...")] + "..."
	}
	return strings.ToValidUTF8(s, "")
}

func shortName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// summaryOf tells what was held back. It follows from what is kept, so that it is the same when it is told again after a restart.
func (t *teller) summaryOf(h *tally) *Notice {
	var parts []string
	for _, p := range [...]struct {
		n    int64
		what string
	}{{h.Dead, Dead}, {h.Expired, Expired}, {h.Late, Late}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	since, until := time.UnixMicro(h.Since).UTC(), time.UnixMicro(h.Until).UTC()
	text := fmt.Sprintf("and %d more since %s: %s", h.count(), since.Format(time.RFC3339), strings.Join(parts, ", "))
	if len(h.Names) > 0 {
		text += "; among them " + strings.Join(h.Names, ", ")
	}
	return &Notice{
		ID: idOf(Summary, strconv.FormatInt(h.First, 10), strconv.FormatInt(h.Last, 10)), What: Summary, Text: text, Daemon: t.o.Daemon, At: until,
		HeldBack: &HeldBack{
			Count: h.count(), Dead: h.Dead, Expired: h.Expired, Late: h.Late, Since: since, Until: until, Tasks: append([]string{}, h.Names...),
		},
	}
}
