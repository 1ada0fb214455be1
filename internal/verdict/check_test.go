package verdict_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/verdict"
)

var a1 = verdict.Incarnation{Node: "a", Boot: 1}

// of returns a record of node a, of the name tea: its generation 1, scheduled for 10 and due then.
func of(op verdict.Op, at int64, change ...func(*verdict.Record)) verdict.Record {
	r := verdict.Record{Op: op, At: at, Incarnation: a1}
	switch op {
	case verdict.Start, verdict.Died:
	default:
		r.Run = verdict.Run{Name: "tea", Generation: 1, ScheduledFor: 10}
		r.Due, r.Next = 10, 2
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// try returns an attempt: its serial and its fence are n.
func try(n, begin, end int64, change ...func(*verdict.Record)) []verdict.Record {
	change = append([]func(*verdict.Record){func(r *verdict.Record) { r.Serial, r.Fence, r.Completed = n, n, r.Op == verdict.End }}, change...)
	return []verdict.Record{of(verdict.Begin, begin, change...), of(verdict.End, end, change...)}
}

func failed(r *verdict.Record)    { r.Completed = false }
func recurring(r *verdict.Record) { r.Recurring = true }
func onB(r *verdict.Record)       { r.Incarnation = verdict.Incarnation{Node: "b", Boot: 1} }
func boot2(r *verdict.Record)     { r.Boot = 2 }

func forAt(at int64) func(*verdict.Record) {
	return func(r *verdict.Record) { r.ScheduledFor, r.Due = at, at }
}

func log(parts ...any) (records []verdict.Record) {
	for _, p := range parts {
		switch p := p.(type) {
		case verdict.Record:
			records = append(records, p)
		case []verdict.Record:
			records = append(records, p...)
		}
	}
	return records
}

// TestCheck_Edges: what is just no fault, and what just is one. A case names its verdicts.
func TestCheck_Edges(t *testing.T) {
	all := func(string) bool { return true }
	for _, tt := range []struct {
		name    string
		records []verdict.Record
		o       verdict.Options
		want    string
	}{
		{name: "nothing"},
		{name: "begun at due", records: log(of(verdict.Put, 1), try(1, 10, 11))},
		{name: "due at the end", records: log(of(verdict.Put, 1)), o: verdict.Options{End: 10}},
		{name: "due before the end", records: log(of(verdict.Put, 1)), o: verdict.Options{End: 11}, want: "missed"},
		{name: "the end is the last instant", records: log(of(verdict.Put, 1), of(verdict.Died, 11)), want: "missed"},
		{name: "begun after the end", records: log(of(verdict.Put, 1), try(1, 20, 21)), o: verdict.Options{End: 15}},
		{name: "of an unknown instant", records: log(of(verdict.Put, 1, func(r *verdict.Record) { r.ScheduledFor = 0 }), try(1, 10, 11))},
		{
			name: "of an unknown instant, declared again", records: log(of(verdict.Put, 1, func(r *verdict.Record) { r.ScheduledFor = 0 }), of(verdict.Put, 2),
				try(1, 10, 11)),
		},
		{name: "cancelled late is cancelled", records: log(of(verdict.Put, 1), of(verdict.Cancelled, 99))},
		{name: "an attempt of a generation that nobody accepted replaces nothing", records: log(of(verdict.Put, 1),
			try(1, 10, 11, func(r *verdict.Record) { r.Generation = 3 })), want: "missed"},
		{name: "recurring by its record", records: log(of(verdict.Put, 1, recurring), of(verdict.Died, 99))},
		{name: "recurring by the options", records: log(of(verdict.Put, 1), of(verdict.Died, 99)), o: verdict.Options{Recurring: all}},
		{name: "cancelled too late", records: log(of(verdict.Put, 1), of(verdict.TooLate, 5), try(1, 10, 11))},
		{name: "cancelled too late, and given back by whoever had claimed it", records: log(of(verdict.Put, 1), of(verdict.TooLate, 12), of(verdict.Died, 99))},
		{name: "another generation cancelled too late", records: log(of(verdict.Put, 1), of(verdict.TooLate, 12, func(r *verdict.Record) { r.Generation = 2 }), of(verdict.Died, 99)), want: "missed"},
		{name: "recurring in another generation", records: log(of(verdict.Put, 1, recurring), of(verdict.Cancelled, 5, func(r *verdict.Record) { r.Generation = 2 }),
			try(1, 10, 11, func(r *verdict.Record) { r.Generation = 2 }))},
		{name: "in doubt", records: log(of(verdict.Put, 1), of(verdict.Asked, 2), of(verdict.Died, 99))},
		{name: "in doubt, accepted by others later", records: log(of(verdict.Asked, 2), of(verdict.Died, 3), of(verdict.Put, 4, onB), of(verdict.Died, 99, onB)), want: "missed"},
		{name: "in doubt twice, answered once", records: log(of(verdict.Put, 1), of(verdict.Asked, 2), of(verdict.Asked, 2), of(verdict.Answered, 3), of(verdict.Died, 99))},
		{name: "no longer in doubt", records: log(of(verdict.Asked, 1), of(verdict.Put, 1), of(verdict.Asked, 2), of(verdict.Answered, 3), of(verdict.Died, 99)), want: "missed"},
		{name: "answers to others", records: log(of(verdict.Put, 1), of(verdict.Answered, 1), of(verdict.Asked, 2), of(verdict.Died, 99))},
		{name: "excused", records: log(of(verdict.Put, 1), of(verdict.Died, 99)), o: verdict.Options{Excuse: func(v verdict.Verdict) bool { return v.Kind == verdict.Missed }}},
		{name: "late as allowed", records: log(of(verdict.Put, 1), try(1, 15, 16)), o: verdict.Options{Late: 5 * time.Microsecond}},
		{name: "late", records: log(of(verdict.Put, 1), try(1, 16, 17)), o: verdict.Options{Late: 5 * time.Microsecond}, want: "late"},
		{name: "late, but accepted late", records: log(of(verdict.Put, 12), try(1, 16, 17)), o: verdict.Options{Late: 5 * time.Microsecond}},
		{name: "late after a downtime", records: log(of(verdict.Start, 15), of(verdict.Put, 1), try(1, 16, 17)), o: verdict.Options{Late: 5 * time.Microsecond, Downtime: true}},
		{name: "a late retry", records: log(of(verdict.Put, 1), try(1, 10, 11, failed), try(2, 99, 99)), o: verdict.Options{Late: 5 * time.Microsecond}},
		{
			name: "late since ever", records: log(of(verdict.Put, math.MinInt64, forAt(math.MinInt64)), try(1, math.MaxInt64, math.MaxInt64, forAt(math.MinInt64))),
			o: verdict.Options{Late: time.Hour}, want: "late",
		},
		{name: "begun when it was settled", records: log(try(1, 10, 11), of(verdict.Settled, 12), try(2, 12, 13, onB))},
		{name: "begun after it was settled", records: log(try(1, 10, 11), of(verdict.Settled, 12), try(2, 13, 14, onB)), want: "doubled"},
		{name: "settled although it failed", records: log(try(1, 10, 11, failed), of(verdict.Settled, 12), try(2, 13, 14, failed)), want: "doubled"},
		{name: "completed after a failure", records: log(try(1, 10, 11, failed), try(2, 12, 13))},
		{name: "completed twice", records: log(try(1, 10, 11), try(2, 12, 13)), want: "doubled"},
		{name: "completed three times", records: log(try(1, 10, 11), try(2, 12, 13), try(3, 14, 15)), want: "doubled, doubled"},
		{name: "completed twice, in two incarnations", records: log(try(1, 10, 11), try(2, 12, 13, onB))},
		{name: "completed twice, in two incarnations, where that isn't allowed", records: log(try(1, 10, 11), try(2, 12, 13, onB)), o: verdict.Options{Once: true}, want: "doubled"},
		{name: "two occurrences", records: log(try(1, 10, 11), try(2, 12, 13, forAt(12)))},
		{name: "begun when the other ended", records: log(try(1, 10, 15), try(2, 15, 16, forAt(12)))},
		{name: "begun before the other ended", records: log(try(1, 10, 15), try(2, 14, 16, forAt(12)), try(3, 16, 17, forAt(13))), want: "overlapping"},
		{name: "within the other", records: log(try(1, 10, 20), try(2, 12, 13, forAt(12)), try(3, 15, 16, forAt(13))), want: "overlapping, overlapping"},
		{name: "at an instant of the other", records: log(try(1, 10, 15), try(2, 12, 12, forAt(12))), want: "overlapping"},
		{name: "at the first instant of the other", records: log(try(2, 10, 15), try(1, 10, 10, forAt(9)))},
		{name: "both at an instant", records: log(try(2, 10, 10), try(1, 10, 10, forAt(9)))},
		{name: "both from an instant on", records: log(try(2, 10, 12), try(1, 10, 12, forAt(9))), want: "overlapping"},
		{name: "overlap allowed", records: log(try(2, 10, 15), try(1, 14, 16, forAt(12))), o: verdict.Options{Overlap: all}},
		{
			name: "overlap allowed, but not with one fence", records: log(try(2, 10, 15), try(1, 12, 13, forAt(11)), try(2, 14, 16, forAt(12), onB)),
			o: verdict.Options{Overlap: all}, want: "fenceOrder",
		},
		{name: "cut off, begun at the next start", records: log(of(verdict.Start, 1), try(1, 10, 0)[:1], of(verdict.Start, 15, boot2), try(2, 15, 16, boot2))},
		{name: "cut off, begun before the next start", records: log(of(verdict.Start, 1), try(1, 10, 0)[:1], of(verdict.Start, 15, boot2), try(2, 14, 16, onB)), want: "overlapping"},
		{name: "cut off, dead before the next start", records: log(of(verdict.Start, 1), try(1, 10, 0)[:1], of(verdict.Died, 12), of(verdict.Start, 15, boot2), try(2, 12, 16, onB))},
		{name: "cut off, its death noted after the next start", records: log(of(verdict.Start, 1), try(1, 10, 0)[:1], of(verdict.Start, 12, boot2), of(verdict.Died, 15), try(2, 12, 16, onB))},
		{name: "cut off, nothing more is known", records: log(try(1, 10, 0)[:1], of(verdict.Answered, 12), try(2, 12, 13, onB))},
		{name: "cut off, logged more after", records: log(try(1, 10, 0)[:1], of(verdict.Answered, 13), try(2, 12, 13, onB)), want: "overlapping"},
		{name: "lives on beside the next", records: log(of(verdict.Start, 1), of(verdict.Start, 5, boot2), try(1, 10, 0)[:1], of(verdict.Answered, 13), try(2, 12, 13, boot2)), want: "overlapping"},
		{name: "starts in another order", records: log(of(verdict.Start, 20, boot2), of(verdict.Start, 1), try(1, 10, 0)[:1], try(2, 19, 21, onB)), want: "overlapping"},
		{name: "begun when it was cancelled", records: log(of(verdict.Put, 1), of(verdict.Cancelled, 11), try(1, 11, 12))},
		{name: "begun after it was cancelled", records: log(of(verdict.Cancelled, 11), try(1, 12, 13)), want: "afterCancel"},
		{name: "cancelled twice", records: log(of(verdict.Cancelled, 14), of(verdict.Cancelled, 11), try(1, 12, 13)), want: "afterCancel"},
		{name: "another generation cancelled", records: log(of(verdict.Cancelled, 11, func(r *verdict.Record) { r.Generation = 2 }), try(1, 12, 13))},
		{name: "begun when it was moved", records: log(of(verdict.Moved, 11), try(1, 11, 12), of(verdict.Cancelled, 99, func(r *verdict.Record) { r.Generation = 2 }))},
		{name: "begun after it was moved", records: log(of(verdict.Moved, 11), try(1, 12, 13), of(verdict.Cancelled, 99, func(r *verdict.Record) { r.Generation = 2 })), want: "afterMove"},
		{name: "fences rise", records: log(try(1, 10, 11, failed), try(7, 12, 13, failed), try(8, 14, 15))},
		{name: "each below the highest", records: log(try(1, 10, 11, failed), try(7, 12, 13, failed), try(2, 14, 15, failed), try(3, 16, 17)), want: "fenceOrder, fenceOrder"},
		{name: "starts twice", records: log(of(verdict.Start, 1), of(verdict.Start, 2)), want: "badLog"},
		{name: "begins after its death", records: log(of(verdict.Died, 9), of(verdict.Died, 99), try(1, 10, 11)), want: "badLog"},
		{name: "begins twice", records: log(try(1, 10, 0)[:1], try(1, 11, 12, func(r *verdict.Record) { r.Fence = 2 })), want: "overlapping, badLog"},
		{name: "ends twice", records: log(try(1, 10, 11), try(1, 10, 12)[1:]), want: "badLog"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			vs := verdict.Check(tt.records, tt.o)
			for _, v := range vs {
				got = append(got, v.Kind.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("kinds (-want +got):\n%s\n%v", diff, vs)
			}
		})
	}
}

// TestVerdicts_String shows what a person gets to read.
func TestVerdicts_String(t *testing.T) {
	records := log(of(verdict.Put, 1), try(1, 5, 11), try(2, 8, 20, func(r *verdict.Record) { r.Error = "cold" }, failed, onB))
	for i := range records {
		records[i].Line = i + 1
	}
	vs := verdict.Check(records, verdict.Options{})
	want := `early "tea"@1@1970-01-01T00:00:00.000010Z: began before due (5µs)
	line 2: begin at=5 node="a" boot=1 serial=1 name="tea" gen=1 for=10 due=10 fence=1
	line 3: end at=11 node="a" boot=1 serial=1 name="tea" gen=1 for=10 due=10 fence=1 completed=true error=""
early "tea"@1@1970-01-01T00:00:00.000010Z: began before due (2µs)
	line 4: begin at=8 node="b" boot=1 serial=2 name="tea" gen=1 for=10 due=10 fence=2
	line 5: end at=20 node="b" boot=1 serial=2 name="tea" gen=1 for=10 due=10 fence=2 completed=false error="cold"
overlapping "tea"@1@1970-01-01T00:00:00.000010Z: began while another ran (3µs)
	line 2: begin at=5 node="a" boot=1 serial=1 name="tea" gen=1 for=10 due=10 fence=1
	line 3: end at=11 node="a" boot=1 serial=1 name="tea" gen=1 for=10 due=10 fence=1 completed=true error=""
	line 4: begin at=8 node="b" boot=1 serial=2 name="tea" gen=1 for=10 due=10 fence=2
	line 5: end at=20 node="b" boot=1 serial=2 name="tea" gen=1 for=10 due=10 fence=2 completed=false error="cold"`
	if diff := cmp.Diff(want, vs.String()); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if n := len(vs.Of(verdict.Early)); n != 2 {
		t.Errorf("%d are early, want 2", n)
	}
	if got := verdict.Verdicts(nil).String() + verdict.Kind(0).String() + verdict.Op(0).String(); got != "Kind(0)Op(0)" {
		t.Errorf("what is none: %q", got)
	}
	if got := (verdict.Record{Op: 77, Incarnation: a1}).String(); got != `Op(77) at=0 node="a" boot=1` {
		t.Errorf("no record: %q", got)
	}
}

// million returns a million records without a fault: the half of them are of one name, whose attempts never end but by a death.
func million() []verdict.Record {
	const each = 250_000 / part
	records := make([]verdict.Record, 0, 4*each)
	records = append(records, of(verdict.Start, 0), of(verdict.Start, 0, onB), of(verdict.Put, 0, recurring))
	for i := int64(1); len(records) < 2*each; i++ {
		run := verdict.Run{Name: "tea", Generation: 1, ScheduledFor: i}
		inc := verdict.Incarnation{Node: "a", Boot: i}
		records = append(records,
			verdict.Record{Op: verdict.Begin, At: i, Incarnation: inc, Run: run, Due: i, Fence: i, Serial: i},
			verdict.Record{Op: verdict.Start, At: i + 1, Incarnation: verdict.Incarnation{Node: "a", Boot: i + 1}})
	}
	for i := int64(1); len(records) < 4*each; i++ {
		r := of(verdict.Put, 0, onB, forAt(i))
		r.Name = fmt.Sprintf("once-%d", i)
		for _, op := range []verdict.Op{verdict.Put, verdict.Begin, verdict.End, verdict.Settled} {
			r.Op, r.Serial, r.Completed = op, i, op == verdict.End
			if op != verdict.Put {
				r.At = i
			}
			records = append(records, r)
		}
	}
	return records
}

// TestCheck_Million: a check that compared each attempt of a name with each other would not come back.
func TestCheck_Million(t *testing.T) {
	records := million()
	o := verdict.Options{Late: time.Second}
	if vs := verdict.Check(records, o); vs != nil {
		t.Fatalf("%d verdicts, the first:\n%v", len(vs), vs[0])
	}
	last := &records[len(records)-3]
	last.At -= 2
	vs := verdict.Check(records, o)
	if len(vs) != 1 || vs[0].Kind != verdict.Early || vs[0].Run != last.Run {
		t.Errorf("%d verdicts, want one of %v", len(vs), last.Run)
	}
}

func BenchmarkCheck(b *testing.B) {
	records := million()
	for b.Loop() {
		if vs := verdict.Check(records, verdict.Options{Late: time.Second}); vs != nil {
			b.Fatal(vs[0])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}

func BenchmarkReader(b *testing.B) {
	in := text(newWorld(1, 5000).records...)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, _, err := verdict.ReadAll(strings.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}
