package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// sample are lines for every step that an import takes.
var sample = strings.Join([]string{
	line("a plain", "in 5m", ""),
	line("b plain", "every 1h", ""),
	line("c through", "every 1h", `,"through":"2099-12-31T23:00:00Z","payload":{"a": 1},"tags":["x","y"],"priority":-3,"key":"k","policy":{"attempts":3}`),
	line("d moved", "cron 0 9 * * * in Europe/Berlin", `,"through":"2101-01-01T00:00:00Z","moved":true`),
	line("e paused", "pace 5m times 3", `,"paused":true,"paused_why":"lunch"`),
	line("f paused", "in 5m", `,"paused":true`),
	line("g retries", "every 1h", `,"through":"2099-12-31T23:00:00Z","retries":[{"scheduled_for":"2099-12-31T21:00:00Z","due_at":"2100-01-02T00:00:00Z"},{"scheduled_for":"2099-12-31T22:00:00Z","due_at":"2100-01-02T00:00:00.000001Z"}]`),
	line("h all", "every 1h", `,"through":"2099-12-31T23:00:00Z","moved":true,"paused":true,"retries":[{"scheduled_for":"2099-12-31T22:00:00Z","due_at":"2100-01-02T00:00:00Z"}],"base64":"/w=="`),
	strings.Replace(line("j over", "every 1h times 3", `,"retries":[{"scheduled_for":"2099-12-31T22:00:00Z","due_at":"2100-01-02T00:00:00Z"}]`),
		`,"scheduled_for":"2100-01-01T00:00:00Z","due_at":"2100-01-01T00:00:00Z"`, "", 1),
	strings.ReplaceAll(line("k never", "in 5m", ""), "2100-01-01T00:00:00Z", "never"),
}, "")

func line(name, schedule, more string) string {
	return fmt.Sprintf(`{"version":1,"namespace":"n","name":%q,"kind":"k","schedule":%q,"accepted_at":"2025-06-01T00:00:00.5Z","scheduled_for":"2100-01-01T00:00:00Z","due_at":"2100-01-01T00:00:00Z"%s}`+"\n",
		name, schedule, more)
}

func open(t *testing.T) *memory.Store {
	t.Helper()
	s := memory.New(memory.Options{})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// same checks that an export of a store is what was imported, but for the order of keys and blanks.
func same(t *testing.T, s store.Store, lines string) {
	t.Helper()
	var want strings.Builder
	for l := range strings.Lines(lines) {
		rec, err := parse([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&want, shown(rec))
	}
	got, left := out(t, s)
	var have strings.Builder
	for l := range strings.Lines(got) {
		rec, err := parse([]byte(l))
		if err != nil {
			t.Fatalf("%v in %s", err, l)
		}
		fmt.Fprintln(&have, shown(rec))
	}
	if diff := cmp.Diff(want.String(), have.String()); diff != "" || left != "" {
		t.Errorf("what is in the store (-imported +exported):\n%s%s", diff, left)
	}
}

func shown(r *record) string {
	return fmt.Sprintf("%v %+v at %v next %+v through %v moved %v paused %v %q retries %v", r.key, r.put.Spec, r.put.AcceptedAt, r.next, r.through, r.moved, r.paused, r.why, r.retries)
}

func TestIn(t *testing.T) {
	s := open(t)
	n := strings.Count(sample, "\n")
	if got := in(t, s, sample+"\n  \n"); got != (Tally{Imported: n}) {
		t.Errorf("%+v", got)
	}
	same(t, s, sample)
	events, err := s.History(t.Context(), store.HistoryQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if got := in(t, s, sample); got != (Tally{Unchanged: n}) {
		t.Errorf("again: %+v", got)
	}
	same(t, s, sample)
	if again, err := s.History(t.Context(), store.HistoryQuery{Limit: 1000}); err != nil || len(again) != len(events) {
		t.Errorf("again: %d entries of history, %d before, %v", len(again), len(events), err)
	}
}

// broken is a store whose calls that write fail from one on.
type broken struct {
	*memory.Store
	left int
}

var errBroken = errors.New("broken")

func (b *broken) call() error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return nil
}

func (b *broken) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	if err := b.call(); err != nil {
		return nil, err
	}
	return b.Store.Put(ctx, puts)
}

func (b *broken) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	if err := b.call(); err != nil {
		return nil, err
	}
	return b.Store.Edit(ctx, edits)
}

// An import that is cut off, wherever that is, makes nothing due early, and is completed by another.
func TestIn_CutOff(t *testing.T) {
	whole := false
	for n := 0; !whole; n++ {
		b := &broken{open(t), n}
		_, err := In(t.Context(), b, strings.NewReader(sample), InOptions{Refused: func(r Refusal) error { return r.Err }})
		if whole = err == nil; !whole && !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		page, err := b.List(t.Context(), store.Query{AllNamespaces: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Tasks {
			if task.Position() < store.At(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("cut off after %d calls, %s is due at %v", n, task.Name, task.Position())
			}
		}
		in(t, b.Store, sample)
		same(t, b.Store, sample)
		if n > 20 {
			t.Fatal("it is never whole")
		}
	}
}

func TestIn_Conflicts(t *testing.T) {
	key := func(name string) store.Key { return store.Key{Namespace: "n", Name: name} }
	lines := line("other", "every 1h", "") + line("phase", "every 1h", "") + line("kind", "every 1h", "") + line("free", "every 1h", "")
	for _, tt := range []struct {
		conflict store.Conflict
		tally    Tally
		refused  string
	}{
		{store.Fail, Tally{Imported: 1, Refused: 3}, "1 n/other: a task of this name exists\n2 n/phase: a task of this name exists\n3 n/kind: a task of this name exists"},
		{store.Keep, Tally{Imported: 1, Kept: 3}, ""},
		{store.Replace, Tally{Imported: 1, Replaced: 2, Refused: 1}, "3 n/kind: the name belongs to a task of another kind"},
	} {
		s := open(t)
		at := store.On(store.Occurrence{For: store.At(time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC))})
		results, err := s.Put(t.Context(), []store.Put{
			{Key: key("other"), Spec: store.Spec{Kind: "k", Schedule: "every 2h", Recurring: true}, When: at},
			{Key: key("phase"), Spec: store.Spec{Kind: "k", Schedule: "every 1h", Recurring: true}, When: at},
			{Key: key("kind"), Spec: store.Spec{Kind: "other", Schedule: "every 1h", Recurring: true}, When: at},
		})
		if err != nil {
			t.Fatal(err, results)
		}
		if _, err := s.Edit(t.Context(), []store.Edit{{Verb: store.VerbPause, Key: key("other")}}); err != nil {
			t.Fatal(err)
		}
		tally, refused := take(t, s, lines, tt.conflict)
		if tally != tt.tally || refused != tt.refused {
			t.Errorf("%v: %+v, want %+v; refused %q, want %q", tt.conflict, tally, tt.tally, refused, tt.refused)
		}
		there, err := s.Get(t.Context(), []store.Key{key("other"), key("phase"), key("kind")})
		if err != nil {
			t.Fatal(err)
		}
		replaced := tt.conflict == store.Replace
		for i, task := range there {
			want := time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC)
			if replaced && i < 2 {
				want = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			if task.Next.For != store.At(want) || task.Paused() != (i == 0 && !replaced) {
				t.Errorf("%v: %s is next at %v, paused %v", tt.conflict, task.Name, task.Next.For, task.Paused())
			}
		}
	}
}

// A line that is wrong is refused with what would be right, and the others are imported.
func TestIn_Refuses(t *testing.T) {
	good := line("good", "every 1h", "")
	edited := func(old, text string) string { return strings.Replace(good, old, text, 1) }
	for _, tt := range []struct{ line, want string }{
		{"nothing", "want an object as duly export prints"},
		{"[]", "want an object"},
		{"null", `version is "0", want 1`},
		{strings.TrimSpace(good) + good, "one object on a line"},
		{edited(`"version":1`, `"version":2`), `version is "2", want 1`},
		{edited(`"kind"`, `"king"`), `unknown field "king"`},
		{edited(`"name":"good"`, `"name":""`), "name"},
		{edited(`"kind":"k"`, `"kind":""`), "kind"},
		{edited(`every 1h`, `every`), "every"},
		{edited(`"scheduled_for":"2100-01-01T00:00:00Z"`, `"scheduled_for":"tomorrow"`), `scheduled_for is "tomorrow", want an instant`},
		{edited(`"due_at":"2100-01-01T00:00:00Z"`, `"due_at":"2099-01-01T00:00:00Z"`), "no earlier than scheduled_for"},
		{edited(`,"due_at":"2100-01-01T00:00:00Z"`, ""), `due_at is ""`},
		{edited(`"2025-06-01T00:00:00.5Z"`, `"never"`), "accepted_at"},
		{line("x", "every 1h", `,"through":"2100-01-01T00:00:00Z"`), "after through"},
		{line("x", "in 1h", `,"moved":true`), "of a task that recurs"},
		{line("x", "every 1h", `,"paused_why":"y"`), "paused"},
		{line("x", "every 1h", `,"policy":[1]`), `policy is "[1]", want an object`},
		{line("x", "every 1h", `,"payload":1,"base64":"AA=="`), "two payloads"},
		{line("x", "every 1h", `,"retries":[{"scheduled_for":"2100-01-01T00:00:00Z"}]`), "retries: due_at"},
		{edited(`,"scheduled_for":"2100-01-01T00:00:00Z","due_at":"2100-01-01T00:00:00Z"`, ""), `scheduled_for is ""`},
		{strings.Replace(line("x", "every 1h", `,"payload":{"args":[]}`), `"kind":"k"`, `"kind":"command"`, 1), "payload of the kind command"},
		{strings.Replace(line("x", "every 1h", `,"payload":{"url":"ftp://h"}`), `"kind":"k"`, `"kind":"http"`, 1), "payload of the kind http"},
		{edited(`"name":"good"`, `"name":"x","name":"good"`), `the field "name" is there twice`},
		{edited(`"name"`, `"Name"`), `unknown field "Name"`},
		{line("x", "every 1h", `,"policy":{"attempts":-1}`), "attempts is -1, want 1 to 1000000"},
		{line("x", "every 1h", `,"policy":{"atempts":1}`), `unknown field "atempts"`},
		{line("x", "every 1h", `,"policy":{"backoff":"-5s"}`), "backoff is -5s, want 0 or more"},
		{line("x", "every 1h", `,"policy":{"timeout":30}`), "policy.timeout"},
		{line("x", "every 1h", `,"policy":{"overlap":"maybe"}`), `"maybe", want skip`},
		{strings.Replace(line("x", "every 1h", `,"payload":{"args":["a"],"evn":{}}`), `"kind":"k"`, `"kind":"command"`, 1), `unknown field "evn"`},
		{strings.Replace(line("x", "every 1h", `,"payload":{"args":["a"],"args":["b"]}`), `"kind":"k"`, `"kind":"command"`, 1), `"args" is there twice`},
		{`{"version":1,"name":"` + strings.Repeat("x", MostLine) + `"}`, "longer than 4194304 bytes"},
	} {
		s := open(t)
		tally, refused := take(t, s, strings.TrimSuffix(tt.line, "\n")+"\n"+good, store.Fail)
		if tally != (Tally{Imported: 1, Refused: 1}) || !strings.HasPrefix(refused, "1 ") || !strings.Contains(refused, tt.want) {
			t.Errorf("%.200s: %+v, refused %q, want %q", tt.line, tally, refused, tt.want)
		}
		same(t, s, good)
	}
	// The last line need not end.
	if tally := in(t, open(t), strings.TrimSuffix(good, "\n")); tally.Imported != 1 {
		t.Errorf("%+v", tally)
	}
	// What can't be read ends it.
	_, err := In(t.Context(), open(t), &failing{}, InOptions{Refused: func(Refusal) error { return nil }})
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errBroken }

// What can't be moved is said, and what can be is moved.
func TestOut_Left(t *testing.T) {
	s := open(t)
	now := store.On(store.Occurrence{For: store.At(time.Now().Add(-time.Minute))})
	names := []string{"once", "pace", "every", "dead"}
	puts := make([]store.Put, len(names))
	for i, sc := range []string{"in 5m", "pace 5m", "every 1h", "in 5m"} {
		puts[i] = store.Put{Key: store.Key{Name: names[i]}, Spec: store.Spec{Kind: "k", Schedule: sc, Recurring: i == 1 || i == 2}, When: now}
	}
	put, err := s.Put(t.Context(), puts)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range put {
		c := store.Claim{RunID: store.RunID{Key: p.Task.Key, Generation: p.Task.Generation, For: p.Task.Next.For}, Lease: time.Hour}
		if names[i] == "every" {
			c.Next = store.Occurrence{For: p.Task.Next.For.Add(time.Hour), Due: p.Task.Next.For.Add(time.Hour)}
		}
		res, err := s.Claim(t.Context(), []store.Claim{c})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		if names[i] == "dead" {
			if _, err := s.Settle(t.Context(), []store.Settlement{{RunID: c.RunID, Fence: res[0].Fence, Verb: store.VerbSettle, State: store.Dead}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	lines, left := out(t, s)
	if strings.Count(lines, "\n") != 1 || !strings.Contains(lines, `"name":"every"`) || !strings.Contains(lines, `"through":`) {
		t.Errorf("exported: %s", lines)
	}
	got := strings.Split(left, "\n")
	for i, want := range []string{"every: 1 attempts run", "once: 1 attempts run", "once: what comes after", "pace: 1 attempts run", "pace: what comes after", "dead: a run is dead"} {
		if len(got) != 6 || !strings.HasPrefix(got[i], want) {
			t.Errorf("left behind:\n%s\nwant %q", left, want)
		}
	}
	for _, c := range []Choice{{Prefix: "eve"}, {Kind: "k", Namespace: new(string)}} {
		n, err := Out(t.Context(), s, c, &strings.Builder{}, func(Left) error { return nil })
		if n != 1 || err != nil {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
	n, err := Out(t.Context(), s, Choice{Tag: "none"}, &strings.Builder{}, func(Left) error { return nil })
	if n != 0 || err != nil {
		t.Errorf("of a tag that nothing has: %d, %v", n, err)
	}
}

// FuzzParse: no line does harm, and one that is taken is what a task's export asks for.
func FuzzParse(f *testing.F) {
	for l := range strings.Lines(sample) {
		f.Add(l)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := parse([]byte(text))
		if err != nil {
			return
		}
		if err := rec.put.Check(); err != nil || rec.next.Due < rec.next.For {
			t.Errorf("%v: %+v", err, rec)
		}
	})
}
