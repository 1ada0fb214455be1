package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// TestCheck holds refusals to naming the operation, the task, the argument, its value and what would be right.
func TestCheck(t *testing.T) {
	long, at := strings.Repeat("x", 256), store.On(store.Occurrence{For: epoch})
	const word = "1 to 255 bytes of UTF-8 without control characters"
	put := func(change func(p *store.Put)) error {
		p := store.Put{Key: theKey, Spec: store.Spec{Kind: "k"}, When: at}
		change(&p)
		return p.Check()
	}
	claim := func(change func(x *store.Claim)) error {
		x := store.Claim{RunID: store.RunID{Key: theKey, Generation: 1, For: epoch}, Lease: 1}
		change(&x)
		return x.Check()
	}
	settle := func(change func(x *store.Settlement)) error {
		x := store.Settlement{RunID: store.RunID{Key: theKey}, Verb: store.VerbSettle, State: store.Done}
		change(&x)
		return x.Check()
	}
	edit := func(v store.Verb, change func(x *store.Edit)) error {
		x := store.Edit{Key: theKey, Verb: v}
		change(&x)
		return x.Check()
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{put(func(*store.Put) {}), ""},
		{put(func(p *store.Put) { p.Name = strings.Repeat("x", 255) }), ""},
		{put(func(p *store.Put) { p.Name = "Grüße/..\u00a0" }), ""},
		{put(func(p *store.Put) { p.Namespace = "" }), ""},
		{put(func(p *store.Put) { p.Payload = make([]byte, store.MaxPayload) }), ""},
		{put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: store.Never}) }), ""},
		{put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: last}) }), ""},
		{put(func(p *store.Put) { p.Name = "" }), `put "ns/": name is "", want ` + word},
		{put(func(p *store.Put) { p.Name = "." }), `put "ns/.": name is ".", want a name, not a dot`},
		{put(func(p *store.Put) { p.Name = "a\n" }), `put "ns/a\n": name is "a\n", want ` + word},
		{put(func(p *store.Put) { p.Name = "\xff" }), `put "ns/\xff": name is "\xff", want ` + word},
		{put(func(p *store.Put) { p.Key = store.Key{Namespace: "..", Name: "a"} }), `put "../a": namespace is "..", want a name, not a dot`},
		{put(func(p *store.Put) { p.Kind = "" }), `put "ns/a": kind is "", want ` + word},
		{put(func(p *store.Put) { p.Kind = long }), `put "ns/a": kind is "` + long[:40] + `"... (256 bytes), want ` + word},
		{put(func(p *store.Put) { p.LimitKey = "\x00" }), `put "ns/a": limit key is "\x00", want ` + word},
		{put(func(p *store.Put) { p.Tags = []string{"t", ""} }), `put "ns/a": tag is "", want ` + word},
		{put(func(p *store.Put) { p.Tags = strings.Split(strings.Repeat("x", 33), "") }), `put "ns/a": tags is 33, want at most 32`},
		{put(func(p *store.Put) { p.Schedule = strings.Repeat("x", 4097) }), `put "ns/a": schedule is 4097 bytes, want at most 4096`},
		{put(func(p *store.Put) { p.Policy = make([]byte, 16385) }), `put "ns/a": policy is 16385 bytes, want at most 16384`},
		{put(func(p *store.Put) { p.Payload = make([]byte, 1<<20+1) }), `put "ns/a": payload is 1048577 bytes, want at most 1048576`},
		{put(func(p *store.Put) { p.When = store.When{} }), `put "ns/a": when is not set, want an occurrence or a delay`},
		{
			put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: last + 1}) }),
			`put "ns/a": when is 253402300800000000, want microseconds of a year up to 9999, or Never`,
		},
		{
			put(func(p *store.Put) { p.When = store.On(store.Occurrence{For: epoch, Due: epoch - 1}) }),
			`put "ns/a": when is 2030-12-31T23:59:59.999999Z, want due no earlier than the nominal instant, which is 2031-01-01T00:00:00Z`,
		},
		{put(func(p *store.Put) { p.OnConflict = store.Debounce + 1 }), `put "ns/a": on conflict is 6, want a policy of this package`},
		{put(func(p *store.Put) { p.MaxWait = -time.Second }), `put "ns/a": max wait is -1s, want 0 or more`},

		{(&store.Cancel{Key: theKey}).Check(), ""},
		{(&store.Cancel{}).Check(), `cancel: name is "", want ` + word},

		{claim(func(*store.Claim) {}), ""},
		{claim(func(x *store.Claim) { x.Lease = 0 }), `claim "ns/a": lease is 0s, want more than 0`},
		{claim(func(x *store.Claim) { x.Owner = long }), `claim "ns/a": owner is "` + long[:40] + `"... (256 bytes), want ` + word},
		{claim(func(x *store.Claim) { x.Missed = -1 }), `claim "ns/a": missed is -1, want 0 or more`},
		{
			claim(func(x *store.Claim) { x.Next = store.Occurrence{For: epoch, Due: epoch} }),
			`claim "ns/a": next is 2031-01-01T00:00:00Z, want after what is claimed, 2031-01-01T00:00:00Z`,
		},
		{
			claim(func(x *store.Claim) { x.As = store.Occurrence{For: epoch - 1, Due: epoch} }),
			`claim "ns/a": as is 2030-12-31T23:59:59.999999Z, want no earlier than what is claimed, 2031-01-01T00:00:00Z`,
		},

		{(&store.Renewal{Lease: 1}).Check(), ""},
		{(&store.Renewal{RunID: store.RunID{Key: theKey}, Lease: -1}).Check(), `renew "ns/a": lease is -1ns, want more than 0`},

		{settle(func(*store.Settlement) {}), ""},
		{settle(func(x *store.Settlement) { x.State = store.Expired }), `settle "ns/a": state is expired, want done, dead or cancelled`},
		{settle(func(x *store.Settlement) { x.Verb = store.VerbRetry }), `settle "ns/a": when is not set, want the next attempt's instant or delay`},
		{settle(func(x *store.Settlement) { x.Verb = 0 }), `settle "ns/a": verb is verb(0), want settle, retry, snooze or release`},
		{
			settle(func(x *store.Settlement) { x.Next = store.On(store.Occurrence{For: store.Over}) }),
			`settle "ns/a": next is -9223372036854775808, want microseconds of a year up to 9999, or Never`,
		},

		{edit(store.VerbPause, func(*store.Edit) {}), ""},
		{edit(store.VerbPut, func(*store.Edit) {}), `edit: verb is put, want one from move on`},
		{edit(99, func(*store.Edit) {}), `edit: verb is verb(99), want one from move on`},
		{edit(store.VerbMove, func(*store.Edit) {}), `move "ns/a": when is not set, want an occurrence or a delay`},
		{edit(store.VerbAlign, func(*store.Edit) {}), `align "ns/a": when is not set, want an occurrence`},
		{edit(store.VerbSkip, func(*store.Edit) {}), `skip "ns/a": state is none, want skipped or expired`},
		{edit(store.VerbRescue, func(*store.Edit) {}), `rescue "ns/a": state is none, want pending or dead`},
		{edit(store.VerbResume, func(x *store.Edit) { x.Missed = -1 }), `resume "ns/a": missed is -1, want 0 or more`},
		{edit(store.VerbStop, func(x *store.Edit) { x.Name = ".." }), `stop "ns/..": name is "..", want a name, not a dot`},
	} {
		got := ""
		if c.err != nil {
			got = strings.TrimPrefix(c.err.Error(), "store: ")
			if !errors.Is(c.err, store.ErrInvalid) {
				t.Errorf("%v is no ErrInvalid", c.err)
			}
		}
		if got != c.want {
			t.Errorf("refused with\n  %q, want\n  %q", got, c.want)
		}
	}
}

// TestApply_checks holds every transition to refusing what its Check refuses, before it looks at anything.
func TestApply_checks(t *testing.T) {
	for name, apply := range map[string]func() (store.Change, error){
		"put":    func() (store.Change, error) { c, r := (&store.Put{}).Apply(nil, nil); return c, r.Err },
		"cancel": func() (store.Change, error) { c, r := (&store.Cancel{}).Apply(nil, nil); return c, r.Err },
		"claim":  func() (store.Change, error) { c, r := (&store.Claim{}).Apply(nil, nil); return c, r.Err },
		"renew":  func() (store.Change, error) { c, r := (&store.Renewal{}).Apply(nil, nil); return c, r.Err },
		"settle": func() (store.Change, error) { c, r := (&store.Settlement{}).Apply(nil, nil); return c, r.Err },
		"edit":   func() (store.Change, error) { c, r := (&store.Edit{}).Apply(nil, nil); return c, r.Err },
	} {
		if c, err := apply(); !errors.Is(err, store.ErrInvalid) || c.Write {
			t.Errorf("%s of nothing: %v, write %t; want it refused", name, err, c.Write)
		}
	}
}

// TestRun_bounded asks for more extra runs than a task may have.
func TestRun_bounded(t *testing.T) {
	w := newWorld(t)
	w.do("put recurring at=10s")
	w.do("bury at=20s")
	for range store.MaxRuns {
		w.do("run")
	}
	if got, want := w.do("run"), `run "ns/a": runs is 1000, want fewer than 1000 at once`; got != want {
		t.Errorf("one more: %q, want %q", got, want)
	}
	if got, want := w.do("redrive"), `redrive "ns/a": runs is 1000, want fewer than 1000 at once`; got != want {
		t.Errorf("a dead one: %q, want %q", got, want)
	}
	if n := len(w.task.Runs); n != store.MaxRuns {
		t.Errorf("%d runs, want %d", n, store.MaxRuns)
	}
}
