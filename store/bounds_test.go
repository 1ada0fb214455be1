package store_test

import (
	"strings"
	"testing"

	"github.com/dulyhq/duly/store"
)

// TestCheck_bounds puts every argument that has a bound on it and just beyond.
func TestCheck_bounds(t *testing.T) {
	put := func(change func(p *store.Put)) error {
		p := store.Put{Key: theKey, Spec: store.Spec{Kind: "k"}, When: store.On(store.Occurrence{For: epoch})}
		change(&p)
		return p.Check()
	}
	claim := func(change func(x *store.Claim)) error {
		x := store.Claim{RunID: store.RunID{Key: theKey, Generation: 1, For: epoch}, Lease: 1}
		change(&x)
		return x.Check()
	}
	on := func(i store.Instant) store.Occurrence { return store.Occurrence{For: i, Due: i} }
	edit := func(x store.Edit) error { x.Key = theKey; return x.Check() }
	many := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		what string
		err  error
		want string
	}{
		{"32 tags", put(func(p *store.Put) { p.Tags = strings.Split(many(32), "") }), ""},
		{"a schedule of 4 KiB", put(func(p *store.Put) { p.Schedule = many(4096) }), ""},
		{"a policy of 16 KiB", put(func(p *store.Put) { p.Policy = make([]byte, 16384) }), ""},
		{"the longest wait", put(func(p *store.Put) { p.MaxWait = 1 }), ""},
		{"the last policy", put(func(p *store.Put) { p.OnConflict = store.Debounce }), ""},
		{"the first instant", put(func(p *store.Put) { p.When = store.On(on(-last)) }), ""},
		{
			"before it", put(func(p *store.Put) { p.When = store.On(on(-last - 1)) }),
			`put "ns/a": when is -253402300800000000, want microseconds of a year up to 9999, or Never`,
		},
		{"due the year after", put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: epoch, Due: last + 1}) }), `put "ns/a": when is 253402300800000000, want microseconds of a year up to 9999, or Never`},
		{"due in that year", put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: epoch, Due: last}) }), ""},
		{"never due", put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: epoch, Due: store.Never}) }), ""},
		{"shown whole", put(func(p *store.Put) { p.LimitKey = "\n" + many(39) }), `put "ns/a": limit key is "\n` + many(39) + `", want 1 to 255 bytes of UTF-8 without control characters`},
		{"shown in part", put(func(p *store.Put) { p.LimitKey = "\n" + many(40) }), `put "ns/a": limit key is "\n` + many(39) + `"... (41 bytes), want 1 to 255 bytes of UTF-8 without control characters`},

		{"an owner of 255 bytes", claim(func(x *store.Claim) { x.Owner = many(255) }), ""},
		{"as itself", claim(func(x *store.Claim) { x.As = on(epoch) }), ""},
		{"through itself", claim(func(x *store.Claim) { x.Through = epoch }), ""},
		{"through what is before", claim(func(x *store.Claim) { x.Through = epoch - 1 }), `claim "ns/a": through is 2030-12-31T23:59:59.999999Z, want no earlier than what is claimed, 2031-01-01T00:00:00Z`},
		{"through what is before the one it is claimed as", claim(func(x *store.Claim) { x.As, x.Through = on(epoch+2), epoch+1 }), `claim "ns/a": through is 2031-01-01T00:00:00.000001Z, want no earlier than what is claimed, 2031-01-01T00:00:00.000002Z`},
		{"next just after", claim(func(x *store.Claim) { x.Next = on(epoch + 1) }), ""},
		{"next just after the one it is claimed as", claim(func(x *store.Claim) { x.As, x.Next = on(epoch+1), on(epoch+2) }), ""},
		{"next is the one it is claimed as", claim(func(x *store.Claim) { x.As, x.Next = on(epoch+1), on(epoch+1) }), `claim "ns/a": next is 2031-01-01T00:00:00.000001Z, want after what is claimed, 2031-01-01T00:00:00.000001Z`},
		{"next is the last of those folded", claim(func(x *store.Claim) { x.Through, x.Next = epoch+1, on(epoch+1) }), `claim "ns/a": next is 2031-01-01T00:00:00.000001Z, want after what is claimed, 2031-01-01T00:00:00.000001Z`},
		{"as what can't be", claim(func(x *store.Claim) { x.As = on(last + 1) }), `claim "ns/a": as is 253402300800000000, want microseconds of a year up to 9999, or Never`},
		{"one folded", claim(func(x *store.Claim) { x.Missed = 1 }), ""},
		{"no name", claim(func(x *store.Claim) { x.Name = "" }), `claim "ns/": name is "", want 1 to 255 bytes of UTF-8 without control characters`},

		{"a move's payload", edit(store.Edit{Verb: store.VerbMove, Payload: make([]byte, store.MaxPayload)}), ""},
		{"a move's payload, a byte more", edit(store.Edit{Verb: store.VerbMove, Payload: make([]byte, store.MaxPayload+1)}), `move "ns/a": payload is 1048577 bytes, want at most 1048576`},
		{"a move's schedule", edit(store.Edit{Verb: store.VerbMove, When: store.In(1, 0), Schedule: many(4097)}), `move "ns/a": schedule is 4097 bytes, want at most 4096`},
		{"a move to what can't be", edit(store.Edit{Verb: store.VerbMove, When: store.On(on(last + 1))}), `move "ns/a": when is 253402300800000000, want microseconds of a year up to 9999, or Never`},
		{"an alignment", edit(store.Edit{Verb: store.VerbAlign, When: store.On(on(epoch))}), ""},
		{"the next that can't be", edit(store.Edit{Verb: store.VerbResume, Next: store.On(on(last + 1))}), `resume "ns/a": next is 253402300800000000, want microseconds of a year up to 9999, or Never`},
		{"skipped", edit(store.Edit{Verb: store.VerbSkip, State: store.Skipped}), ""},
		{"expired", edit(store.Edit{Verb: store.VerbSkip, State: store.Expired}), ""},
		{"rescued to be tried again", edit(store.Edit{Verb: store.VerbRescue, State: store.Pending}), ""},
		{"rescued to die", edit(store.Edit{Verb: store.VerbRescue, State: store.Dead}), ""},

		{"all tasks", (&store.Query{}).Check(), ""},
		{"pending ones", (&store.Query{State: store.Pending}).Check(), ""},
		{"running ones", (&store.Query{State: store.Running}).Check(), ""},
		{"dead ones", (&store.Query{State: store.Dead, Limit: 1}).Check(), ""},
		{"done ones", (&store.Query{State: store.Done}).Check(), `list: state is done, want pending, running or dead; what became of the others is in the history`},
		{"fewer than none", (&store.Query{Limit: -1}).Check(), `list: limit is -1, want 0 or more`},

		{"a note", store.CheckNote("n", many(store.MaxNote)), ""},
		{"a note that is too long", store.CheckNote("n", many(store.MaxNote+1)), `note: text is 4097 bytes, want at most 4096`},
		{"a note without a name", store.CheckNote("", ""), `note: name is "", want 1 to 255 bytes of UTF-8 without control characters`},
	} {
		got := ""
		if c.err != nil {
			got = strings.TrimPrefix(c.err.Error(), "store: ")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}
