package record_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// What is wrong with a value is named, and the first of it counts.
func TestDecoder_Refuses(t *testing.T) {
	task := func(d *record.Decoder) { d.Task(new(store.Task)) }
	live := func(d *record.Decoder) { d.Live(new(store.Task)) }
	dead := func(d *record.Decoder) { d.Dead(new(store.Task)) }
	tags := store.Task{Spec: store.Spec{Tags: make([]string, store.MaxTags+1)}}
	paused := record.AppendTask(nil, &store.Task{PausedAt: 1, PausedWhy: "x"}, true)
	paused[5] = 0 // since when
	for _, tc := range []struct {
		name   string
		b      []byte
		decode func(d *record.Decoder)
		want   string
	}{
		{"nothing", nil, task, "value ends early"},
		{"no version", nil, (*record.Decoder).Version, "value ends early"},
		{"version 0", []byte{0}, (*record.Decoder).Version, "value of version 0, want 1"},
		{"version 2", []byte{2, 0}, task, "value of version 2, want 1"},
		{"an unknown flag of a task", []byte{record.Version, 0x61}, task, "unknown flags 0x60"},
		{"an unknown flag of a run", []byte{0, 0, 0, 0, 1, byte(store.Dead), 8}, live, "unknown flags 0x08"},
		{"half a number", []byte{0x80}, func(d *record.Decoder) { d.Int() }, "bad number"},
		{"half a number without sign", []byte{0x80}, func(d *record.Decoder) { d.Uint() }, "bad number"},
		{"a number of more than 64 bits", slices.Repeat([]byte{0xff}, 11), func(d *record.Decoder) { d.Instant() }, "bad number"},
		{"a text that ends early", []byte{3, 'a', 'b'}, func(d *record.Decoder) { d.Text() }, "bad length"},
		{"bytes that end early", []byte{3, 'a', 'b'}, func(d *record.Decoder) { d.Bytes() }, "bad length"},
		{"more tags than there may be", record.AppendTask(nil, &tags, true), task, "too many tags"},
		{"more runs than bytes", []byte{0, 0, 0, 0, 2, 1}, live, "too many runs"},
		{"paused, at no time", paused, task, "paused, but since when?"},
		{"dead, without its payload", append([]byte{record.Version, 0}, record.AppendTask(nil, goldenDead(), false)...), dead, "a dead run's payload is apart"},
		{"dead, without a run", record.AppendDead(nil, 1, &store.Task{}), dead, "not one dead run"},
		{"dead, with two runs", record.AppendDead(nil, 1, &goldenTask), dead, "not one dead run"},
		{"too long", record.AppendTask([]byte{}, &goldenTask, false), (*record.Decoder).Version, "value is too long"},
		{
			"what the caller finds wrong", []byte{2}, func(d *record.Decoder) {
				d.Int()
				d.Fail("one is not what it has to be")
				d.Fail("and another")
				d.Int()
			}, "one is not what it has to be",
		},
	} {
		d := record.NewDecoder(tc.b)
		tc.decode(&d)
		err := d.End()
		if !errors.Is(err, store.ErrCorrupt) || !strings.HasSuffix(err.Error(), ": "+tc.want) {
			t.Errorf("%s: %v, want ErrCorrupt: %s", tc.name, err, tc.want)
		}
		n, u, s := d.Int(), d.Uint(), d.Text()
		if n != 0 || u != 0 || s != "" || !errors.Is(d.Err(), err) {
			t.Errorf("%s: after it %d, %d, %q, %v", tc.name, n, u, s, d.Err())
		}
	}
}

// Whatever bytes a decoder gets, it does not panic, takes no more memory than they are worth, and what it accepts it could have written:
// it reads the same again.
func FuzzDecode(f *testing.F) {
	f.Add(byte(0), record.AppendTask(nil, &goldenTask, true))
	f.Add(byte(0), record.AppendTask(nil, &goldenTask, false))
	f.Add(byte(1), record.AppendOverlay(nil, &goldenTask))
	f.Add(byte(2), record.AppendEvent(nil, &goldenEvent))
	f.Add(byte(3), record.AppendDead(nil, 5, goldenDead()))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		switch kind % 4 {
		case 0:
			again(t, b, func(d *record.Decoder) ([]byte, store.Task) {
				var got store.Task
				apart := d.Task(&got)
				return record.AppendTask(nil, &got, !apart), got
			})
		case 1:
			again(t, b, func(d *record.Decoder) ([]byte, store.Task) {
				var got store.Task
				got.Generation = d.Overlay(&got)
				return record.AppendOverlay(nil, &got), got
			})
		case 2:
			again(t, b, func(d *record.Decoder) ([]byte, store.Event) {
				var got store.Event
				d.Event(&got)
				return record.AppendEvent(nil, &got), got
			})
		case 3:
			again(t, b, func(d *record.Decoder) ([]byte, store.Task) {
				var got store.Task
				died := d.Dead(&got)
				return record.AppendDead(nil, died, &got), got
			})
		}
	})
}

// again demands that bytes are refused with the one error, or that what they hold reads the same once it is written anew.
func again[T any](t *testing.T, b []byte, decode func(d *record.Decoder) (written []byte, got T)) {
	t.Helper()
	d := record.NewDecoder(b)
	written, want := decode(&d)
	if err := d.End(); err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%v, want ErrCorrupt", err)
		}
		return
	}
	d = record.NewDecoder(written)
	_, got := decode(&d)
	if diff := cmp.Diff(want, got); d.End() != nil || diff != "" {
		t.Errorf("%v (-first +again):\n%s", d.End(), diff)
	}
}

// A value that claims to hold much more than it does costs nothing.
func TestDecoder_NoHugeAllocation(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	value := record.AppendTask(nil, &goldenTask, true)
	for cut := range value {
		b := slices.Concat(value[:cut], huge)
		if n := testing.AllocsPerRun(1, func() {
			var task store.Task
			d := record.NewDecoder(b)
			d.Task(&task)
		}); n > 60 {
			t.Errorf("cut at %d: %v allocations", cut, n)
		}
	}
	for _, runs := range [][]byte{huge, append([]byte{200}, slices.Repeat([]byte{0xff}, 200)...)} { // how many there are
		d := record.NewDecoder(append(make([]byte, 4), runs...)) // four numbers before
		var task store.Task
		if d.Live(&task); d.Err() == nil || cap(task.Runs) > 16 {
			t.Errorf("%d runs have room, %v", cap(task.Runs), d.Err())
		}
	}
}

// Writing a value where there is room for it allocates nothing, and reading one no more than it holds texts, tags and runs.
func TestAllocations(t *testing.T) {
	buf := make([]byte, 0, 4096)
	task, event, died := &goldenTask, &goldenEvent, goldenDead()
	value, entry := record.AppendTask(nil, task, true), record.AppendEvent(nil, event)
	plain := record.AppendTask(nil, &store.Task{Spec: store.Spec{Kind: "kind", Payload: []byte("payload")}, Generation: 1}, true)
	var into store.Task
	var wrote store.Event
	for _, tc := range []struct {
		name string
		run  func()
		most float64
	}{
		{"append a task", func() { buf = record.AppendTask(buf[:0], task, true) }, 0},
		{"append an overlay", func() { buf = record.AppendOverlay(buf[:0], task) }, 0},
		{"append a dead run", func() { buf = record.AppendDead(buf[:0], 1, died) }, 0},
		{"append an entry", func() { buf = record.AppendEvent(buf[:0], event) }, 0},
		{"read a plain task: kind, payload", func() {
			into = store.Task{}
			d := record.NewDecoder(plain)
			d.Task(&into)
		}, 2},
		{"read a task: 8 texts, 2 tags and their slice, 2 runs", func() {
			into = store.Task{}
			d := record.NewDecoder(value)
			d.Task(&into)
		}, 13},
		{"read an entry: 5 texts", func() {
			d := record.NewDecoder(entry)
			d.Event(&wrote)
		}, 5},
	} {
		if n := testing.AllocsPerRun(100, tc.run); n > tc.most {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, n, tc.most)
		}
	}
}
