package api

import (
	"encoding/json"
	"time"

	"github.com/dulyhq/duly/target"
)

// A Duration is a length of time on the wire: "1m30s", or "PT1M30S" as in ISO 8601. A bare number is refused.
type Duration = target.Duration

// A Spec is what a PUT or POST asks for: what is to be done, when, and how. Exactly one of Command, HTTP, and Kind with its Payload
// says what; exactly one of Schedule, In, At, Every, Cron and Calendar says when.
type Spec struct {
	// Name is the task's, in a POST or a line of a batch; a PUT has it in its path. Where a POST has none, one is made up.
	Name string `json:"name,omitempty"`

	Command *target.Command  `json:"command,omitempty"`
	HTTP    *target.Callback `json:"http,omitempty"`
	Kind    string           `json:"kind,omitempty"`
	Payload json.RawMessage  `json:"payload,omitempty"`

	Schedule string    `json:"schedule,omitempty"` // the text form of package schedule
	In       *Duration `json:"in,omitempty"`       // once, so long after it is accepted; not negative; read as "in" of a schedule: 3 days
	At       time.Time `json:"at,omitzero"`        // once; read as "at" of a schedule: tomorrow 17:00
	Every    Duration  `json:"every,omitempty"`    // again and again
	Cron     string    `json:"cron,omitempty"`     // by the wall clock of Zone
	Calendar string    `json:"calendar,omitempty"` // the same, as systemd writes it: Mon..Fri 09:00
	Zone     string    `json:"zone,omitempty"`     // an IANA zone, beside Schedule, At, Cron or Calendar; UTC where it is empty

	Conflict    string   `json:"conflict,omitempty"` // replace, keep, fail, keep-time, earliest, debounce
	DebounceMax Duration `json:"debounce_max,omitempty"`
	AnyKind     bool     `json:"any_kind,omitempty"`

	Policy
	Key      string   `json:"key,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Priority int      `json:"priority,omitempty"`

	said said
}

// A Policy says how a task is run; what is absent is at its default.
type Policy struct {
	Attempts     int      `json:"attempts,omitempty"`
	Backoff      Duration `json:"backoff,omitempty"`
	MaxBackoff   Duration `json:"max_backoff,omitempty"`
	MaxElapsed   Duration `json:"max_elapsed,omitempty"`
	Overlap      string   `json:"overlap,omitempty"`  // skip, buffer, cancel, allow, buffer-many:n
	CatchUp      string   `json:"catch_up,omitempty"` // latest, earliest, none, all:n
	Window       Duration `json:"window,omitempty"`
	Grace        Duration `json:"grace,omitempty"`
	StartWithin  Duration `json:"start_within,omitempty"`
	Timeout      Duration `json:"timeout,omitempty"`
	KeyLimit     int      `json:"key_limit,omitempty"`
	AtMostOnce   bool     `json:"at_most_once,omitempty"`
	StopOnError  bool     `json:"stop_on_error,omitempty"`
	ResumeMissed bool     `json:"resume_missed,omitempty"`
}

// A Task is what a name points to.
type Task struct {
	Namespace    string           `json:"namespace,omitempty"`
	Name         string           `json:"name"`
	Kind         string           `json:"kind"`
	State        string           `json:"state"` // pending, running, dead
	Schedule     string           `json:"schedule"`
	Words        string           `json:"words"` // the schedule in English; may be worded better in any release
	Recurring    bool             `json:"recurring"`
	Generation   int64            `json:"generation"`
	AcceptedAt   time.Time        `json:"accepted_at"`
	ScheduledFor time.Time        `json:"scheduled_for,omitzero"` // the next nominal instant
	DueAt        time.Time        `json:"due_at,omitzero"`        // that and its jitter
	Starts       int64            `json:"starts"`
	PausedAt     time.Time        `json:"paused_at,omitzero"`
	PausedWhy    string           `json:"paused_why,omitempty"`
	Ended        bool             `json:"ended,omitempty"` // cancelled or stopped: only Runs are left
	Runs         []Run            `json:"runs"`            // never null
	Command      *target.Command  `json:"command,omitempty"`
	HTTP         *target.Callback `json:"http,omitempty"`
	Payload      json.RawMessage  `json:"payload,omitempty"` // of other kinds; what is not JSON is a string of base64
	Policy       Policy           `json:"policy"`
	Key          string           `json:"key,omitempty"`
	Tags         []string         `json:"tags,omitempty"`
	Priority     int              `json:"priority,omitempty"`
}

// A Run is an occurrence that was started and is not settled for good, or is dead.
type Run struct {
	ID           string    `json:"run_id"`
	Generation   int64     `json:"generation"`
	ScheduledFor time.Time `json:"scheduled_for"`
	DueAt        time.Time `json:"due_at"`
	State        string    `json:"state"`
	Attempt      int       `json:"attempt"`
	Snoozed      int       `json:"snoozed,omitempty"`
	Lost         int       `json:"lost,omitempty"`
	Fence        int64     `json:"fence"`
	Missed       int64     `json:"missed,omitempty"`
	Owner        string    `json:"owner,omitempty"`
	BegunAt      time.Time `json:"begun_at,omitzero"`
	StartedAt    time.Time `json:"started_at,omitzero"`
	Stopping     bool      `json:"stopping,omitempty"`
	Extra        bool      `json:"extra,omitempty"`
	Reason       string    `json:"reason,omitempty"`
}

// An Entry is the answer to a put or a move.
type Entry struct {
	Namespace    string    `json:"namespace,omitempty"`
	Name         string    `json:"name"`
	Outcome      string    `json:"outcome,omitempty"` // created, replaced, unchanged, kept, already_ran; empty after a move
	Generation   int64     `json:"generation,omitempty"`
	ScheduledFor time.Time `json:"scheduled_for,omitzero"`
	DueAt        time.Time `json:"due_at,omitzero"`
	Error        *Problem  `json:"error,omitempty"` // of a line of a batch: why it was refused
}

// A Change is what a PATCH asks for: another instant for the next occurrence, or another payload at the same instants, or both.
type Change struct {
	Schedule string    `json:"schedule,omitempty"` // one that fires once
	In       *Duration `json:"in,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Zone     string    `json:"zone,omitempty"` // an IANA zone, beside Schedule or At; UTC where it is empty

	Command *target.Command  `json:"command,omitempty"`
	HTTP    *target.Callback `json:"http,omitempty"`
	Payload json.RawMessage  `json:"payload,omitempty"`

	said said
}

// A Cancelled is the answer to a DELETE.
type Cancelled struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"` // cancelled, running, finished, unknown
}

// A Selection says which tasks a pause, resume or redrive is for: those that all its fields ask for. At least one must be given;
// All selects all.
type Selection struct {
	All    bool     `json:"all,omitempty"`
	Names  []string `json:"names,omitempty"`
	Prefix string   `json:"prefix,omitempty"`
	Kind   string   `json:"kind,omitempty"`
	Tag    string   `json:"tag,omitempty"`
	Why    string   `json:"why,omitempty"` // of a pause: the reason, shown to whoever asks
}

// A Count is the answer to a request about a selection.
type Count struct {
	Count int `json:"count"`
}

// A TaskPage is a page of a list, in the order of names.
type TaskPage struct {
	Tasks  []Task `json:"tasks"`            // never null
	Cursor string `json:"cursor,omitempty"` // of the next page; absent where there is none
}

// An Event is an entry of the history.
type Event struct {
	Seq          int64     `json:"seq"`
	At           time.Time `json:"at"`
	Namespace    string    `json:"namespace,omitempty"`
	Name         string    `json:"name"`
	Kind         string    `json:"kind"`
	Generation   int64     `json:"generation"`
	ScheduledFor time.Time `json:"scheduled_for,omitzero"`
	DueAt        time.Time `json:"due_at,omitzero"`
	Verb         string    `json:"verb"`
	From         string    `json:"from"`
	To           string    `json:"to"`
	Attempt      int       `json:"attempt,omitempty"`
	Fence        int64     `json:"fence,omitempty"`
	AcceptedAt   time.Time `json:"accepted_at,omitzero"`
	StartedAt    time.Time `json:"started_at,omitzero"`
	Lateness     *Duration `json:"lateness,omitempty"` // started_at - due_at, of what has started
	Missed       int64     `json:"missed,omitempty"`
	Owner        string    `json:"owner,omitempty"`
	Reason       string    `json:"reason,omitempty"`
}

// An EventPage is a page of the history.
type EventPage struct {
	Events []Event `json:"events"` // never null
}

// A Why tells why a task does not run now.
type Why struct {
	Name  string    `json:"name"`
	Code  string    `json:"code"`
	Text  string    `json:"text"`
	Until time.Time `json:"until,omitzero"`
	Task  *Task     `json:"task,omitempty"`
}

// An Occurrence is one instant at which a schedule fires, or would if it were not left out.
type Occurrence struct {
	At    time.Time `json:"at"`    // in the schedule's zone, due, jitter included
	UTC   time.Time `json:"utc"`   // the same
	Marks []string  `json:"marks"` // never null: gap-moved, fold-second, jittered, excluded
}

// A Preview says when a schedule fires.
type Preview struct {
	Schedule    string       `json:"schedule"` // canonical
	Words       string       `json:"words"`
	Zone        string       `json:"zone"`
	Warnings    []string     `json:"warnings"`    // never null
	Occurrences []Occurrence `json:"occurrences"` // never null
	Never       bool         `json:"never"`       // nothing from the asked instant on
}

// A Fire is an attempt that a simulation foresees.
type Fire struct {
	Namespace    string    `json:"namespace,omitempty"`
	Name         string    `json:"name"`
	Kind         string    `json:"kind"`
	ScheduledFor time.Time `json:"scheduled_for"`
	DueAt        time.Time `json:"due_at"`
}

// A Simulation is the answer to what will start in a time.
type Simulation struct {
	Fires     []Fire `json:"fires"` // never null
	Truncated bool   `json:"truncated,omitempty"`
}

// An Attempt is what is kept of one attempt of the daemon's own kinds, beside its history: how it ended and how much it printed.
type Attempt struct {
	RunID        string    `json:"run_id"`
	Attempt      int       `json:"attempt"`
	Fence        int64     `json:"fence"`
	ScheduledFor time.Time `json:"scheduled_for"`
	DueAt        time.Time `json:"due_at"`
	StartedAt    time.Time `json:"started_at"`
	EndedAt      time.Time `json:"ended_at,omitzero"` // zero: it runs, or its process died
	Lateness     Duration  `json:"lateness"`
	Running      bool      `json:"running,omitempty"`
	Outcome      string    `json:"outcome,omitempty"` // done, failed, later, permanent; empty while it runs
	ExitCode     *int      `json:"exit_code,omitempty"`
	Signal       string    `json:"signal,omitempty"`
	Status       int       `json:"status,omitempty"` // of an HTTP callback
	Reason       string    `json:"reason,omitempty"`
	Bytes        int64     `json:"bytes"`             // that it printed
	Omitted      int64     `json:"omitted,omitempty"` // of them, not kept
}

// An AttemptPage lists attempts, the newest first.
type AttemptPage struct {
	Attempts []Attempt `json:"attempts"` // never null
}

// A Chunk is a part of what an attempt printed; a line of the NDJSON that output comes as.
type Chunk struct {
	RunID   string    `json:"run_id"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	Stream  string    `json:"stream"`            // stdout, stderr; body of an HTTP answer
	Text    string    `json:"text,omitempty"`    // if it is UTF-8
	Base64  []byte    `json:"base64,omitempty"`  // if it is not
	Omitted int64     `json:"omitted,omitempty"` // bytes before it that are not kept
}

// Stats are the daemon's counters.
type Stats struct {
	Version     string               `json:"version,omitempty"`
	Pending     int64                `json:"pending"` // tasks, less the attempts that run
	Running     int64                `json:"running"`
	Dead        int64                `json:"dead"`
	History     int64                `json:"history"`
	Near        int                  `json:"near"` // tasks in memory
	StoreErrors uint64               `json:"store_errors"`
	Problems    []HealthProblem      `json:"problems"` // that stand now, as /readyz tells them; never null
	Store       *StoreState          `json:"store,omitempty"`
	Kinds       map[string]KindStats `json:"kinds"` // never null
}

// StoreState is where tasks are kept, and how the processes that share a database divide the work.
type StoreState struct {
	Kind        string      `json:"kind"`                        // directory, postgres
	At          string      `json:"at"`                          // the directory, or the database's address without a password
	Schema      string      `json:"schema,omitempty"`            // of a database
	Version     int         `json:"version,omitempty"`           // of the schema
	Server      string      `json:"server,omitempty"`            // its version
	Node        string      `json:"node,omitempty"`              // under which this process takes part
	Connected   bool        `json:"connected,omitempty"`         // the node has its connection
	Shards      int         `json:"shards,omitempty"`            // of 256, that are this node's
	ClockOffset Duration    `json:"clock_offset,omitempty"`      // how much this machine's clock is ahead of the server's
	Uncertainty Duration    `json:"clock_uncertainty,omitempty"` // how far that may be off
	StandsDown  string      `json:"stands_down,omitempty"`       // why the node takes no part although it lives
	Nodes       []NodeState `json:"nodes,omitempty"`             // all of them, this one as well
}

// NodeState is a process that shares a database, as this one has seen it last.
type NodeState struct {
	Node        string    `json:"node"`
	State       string    `json:"state"` // live, stands_down, away, gone
	Self        bool      `json:"self,omitempty"`
	Shards      int       `json:"shards"`
	ClockOffset Duration  `json:"clock_offset"`
	SeenAt      time.Time `json:"seen_at"`
}

// KindStats are counted since the daemon started, for a kind.
type KindStats struct {
	Started   uint64   `json:"started"`
	Succeeded uint64   `json:"succeeded"`
	Failed    uint64   `json:"failed"`
	Snoozed   uint64   `json:"snoozed"`
	Dead      uint64   `json:"dead"`
	Cancelled uint64   `json:"cancelled"`
	Lost      uint64   `json:"lost"`
	Fenced    uint64   `json:"fenced"`
	Skipped   uint64   `json:"skipped"`
	Expired   uint64   `json:"expired"`
	Early     uint64   `json:"early"` // 0
	Running   int64    `json:"running"`
	Late50    Duration `json:"lateness_p50"`
	Late99    Duration `json:"lateness_p99"`
}

// A Problem is an error: application/problem+json of RFC 9457. Type is ProblemBase and the slug.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Slug   string `json:"slug"`            // stable: invalid, exists, kind-mismatch, condition, not-found, running, finished, unknown, no-space, ...
	Field  string `json:"field,omitempty"` // at fault
	Value  string `json:"value,omitempty"`
	Want   string `json:"want,omitempty"` // what would be right
}
