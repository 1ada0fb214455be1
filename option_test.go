package duly_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// Whoever puts what can't be right is told what it is and what would be right, and nothing is written.
func TestPut_Refused(t *testing.T) {
	s, _ := newContested(t, nil)
	k := duly.Declare[string](s, "k")
	long := strings.Repeat("x", 256)
	soon := schedule.After(0)
	for _, tt := range []struct {
		when schedule.Schedule
		opts []duly.PutOption
		want string
	}{
		{soon, []duly.PutOption{nil}, `option is nil, want an option`},
		{soon, []duly.PutOption{duly.OnConflict(duly.Debounce(-1))}, `debounce is -1ns, want 0 or more`},
		{soon, []duly.PutOption{duly.IfGeneration(0)}, `generation is 0, want one that a task has had: more than 0`},
		{soon, []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: -1})}, `attempts is -1, want 1 to 1000000, or 0 for 10`},
		{soon, []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 1_000_001})}, `attempts is 1000001, want 1 to 1000000, or 0 for 10`},
		{soon, []duly.PutOption{duly.Retry(duly.RetryPolicy{Backoff: -1})}, `backoff is -1ns, want 0 or more`},
		{soon, []duly.PutOption{duly.Retry(duly.RetryPolicy{MaxBackoff: -1})}, `max backoff is -1ns, want 0 or more`},
		{soon, []duly.PutOption{duly.Retry(duly.RetryPolicy{MaxElapsed: -1})}, `max elapsed is -1ns, want 0 or more`},
		{soon, []duly.PutOption{duly.Retry(duly.RetryPolicy{Backoff: 2, MaxBackoff: 1})}, `max backoff is 1ns, want no less than the backoff, 2ns`},
		{soon, []duly.PutOption{duly.Overlap(duly.BufferAll(0))}, `BufferAll's n is 0, want 1 to 10000`},
		{soon, []duly.PutOption{duly.Overlap(duly.BufferAll(10_001))}, `BufferAll's n is 10001, want 1 to 10000`},
		{soon, []duly.PutOption{duly.CatchUp(duly.All(0))}, `All's n is 0, want 1 to 10000`},
		{soon, []duly.PutOption{duly.CatchUp(duly.All(10_001))}, `All's n is 10001, want 1 to 10000`},
		{soon, []duly.PutOption{duly.Window(0)}, `window is 0s, want more than 0`},
		{soon, []duly.PutOption{duly.Grace(-1)}, `grace is -1ns, want more than 0`},
		{soon, []duly.PutOption{duly.StartWithin(0)}, `start within is 0s, want more than 0`},
		{soon, []duly.PutOption{duly.Timeout(0)}, `timeout is 0s, want more than 0`},
		{soon, []duly.PutOption{duly.OnError(duly.Stop + 1)}, `on error is 2, want Continue or Stop`},
		{soon, []duly.PutOption{duly.Key("", 1)}, `key is "", want 1 to 255 bytes`},
		{soon, []duly.PutOption{duly.Key("a", 0)}, `key's k is 0, want at least 1`},
		{schedule.Every(time.Hour), []duly.PutOption{duly.StartWithin(time.Minute)}, `start within is 1m0s, want it on a one-off only; a recurring task has Window`},
		{schedule.Schedule{}, nil, `invalid argument: ` + schedule.Schedule{}.Err().Error()},
		// the first of several
		{schedule.Schedule{}, []duly.PutOption{duly.Key("a", 1), nil, duly.Timeout(0), duly.Grace(0)}, `option is nil, want an option`},
	} {
		e, err := k.Put(t.Context(), "a", "", tt.when, tt.opts...)
		if want := `store: put "a": ` + tt.want; !errors.Is(err, duly.ErrInvalid) || err.Error() != want || e != (duly.Entry{}) {
			t.Errorf("%+v, %v\nwant %s", e, err, want)
		}
	}
	if strconv.IntSize > 32 { // else no int is out of range
		for _, n := range []int64{math.MaxInt32 + 1, math.MinInt32 - 1} {
			_, err := k.Put(t.Context(), "a", "", soon, duly.Priority(int(n)))
			if want := fmt.Sprintf(`store: put "a": priority is %d, want what 32 bits hold`, n); !errors.Is(err, duly.ErrInvalid) || err.Error() != want {
				t.Errorf("%v\nwant %s", err, want)
			}
		}
	}
	for _, o := range []duly.PutOption{duly.Key(long, 1), duly.Tags(long), duly.Tags("")} {
		if _, err := k.Put(t.Context(), "a", "", soon, o); !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
	}
	for _, err := range s.List(t.Context(), duly.Query{}) {
		t.Errorf("there is a task, %v", err)
	}
}

// What a task is put with is kept with it, in the form that CheckPolicy accepts, and nothing of what is at its default. At each bound it is
// taken as it is.
func TestPut_PolicyIsKept(t *testing.T) {
	s, _ := newContested(t, nil)
	k := duly.Declare[string](s, "k")
	once, every := schedule.After(time.Hour), schedule.Every(time.Hour)
	for _, tt := range []struct {
		when schedule.Schedule
		opts []duly.PutOption
		want string
	}{
		{once, nil, ``},
		{once, []duly.PutOption{
			duly.Retry(duly.RetryPolicy{}), duly.Overlap(duly.Skip), duly.CatchUp(duly.Latest), duly.OnError(duly.Continue), duly.OnConflict(duly.Debounce(0)), duly.Priority(0), duly.Tags(),
		}, ``},
		{once, []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 1_000_000, Backoff: time.Second, MaxBackoff: time.Second, MaxElapsed: time.Hour})}, `{"attempts":1000000,"backoff":"1s","max_backoff":"1s","max_elapsed":"1h0m0s"}`},
		{once, []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 1, Backoff: 5})}, `{"attempts":1,"backoff":"5ns"}`},
		{every, []duly.PutOption{duly.Overlap(duly.BufferOne), duly.CatchUp(duly.Oldest)}, `{"overlap":"buffer","catch_up":"earliest"}`},
		{every, []duly.PutOption{duly.Overlap(duly.BufferAll(1)), duly.CatchUp(duly.All(10_000))}, `{"overlap":"buffer-many:1","catch_up":"all:10000"}`},
		{every, []duly.PutOption{duly.Overlap(duly.BufferAll(10_000)), duly.CatchUp(duly.All(1))}, `{"overlap":"buffer-many:10000","catch_up":"all:1"}`},
		{every, []duly.PutOption{duly.Overlap(duly.CancelOther), duly.CatchUp(duly.None)}, `{"overlap":"cancel","catch_up":"none"}`},
		{every, []duly.PutOption{duly.Overlap(duly.Allow), duly.Window(1), duly.Grace(1), duly.Timeout(1)}, `{"overlap":"allow","window":"1ns","grace":"1ns","timeout":"1ns"}`},
		{once, []duly.PutOption{duly.StartWithin(1), duly.AtMostOnce()}, `{"start_within":"1ns","at_most_once":true}`},
		{every, []duly.PutOption{duly.OnError(duly.Stop), duly.ResumeMissed()}, `{"stop_on_error":true,"resume_missed":true}`},
		{every, []duly.PutOption{duly.OnError(duly.Stop), duly.OnError(duly.Continue), duly.Key("k", 3), duly.Key("k", 1)}, `{"key_limit":1}`},
	} {
		if _, err := k.Put(t.Context(), "a", "", tt.when, tt.opts...); err != nil {
			t.Errorf("%s: %v", tt.want, err)
			continue
		}
		x, err := s.Get(t.Context(), "a")
		if err != nil || x.Policy != tt.want {
			t.Errorf("%s, %v; want %s", x.Policy, err, tt.want)
		}
		if err := duly.CheckPolicy([]byte(tt.want)); err != nil {
			t.Errorf("CheckPolicy %s: %v", tt.want, err)
		}
	}
	if _, err := k.Put(t.Context(), "a", "", once, duly.Key("the key", 2), duly.Priority(-1<<31), duly.Tags("b", "a", "b")); err != nil {
		t.Fatal(err)
	}
	x, err := s.Get(t.Context(), "a")
	if err != nil || x.Key != "the key" || x.Priority != -1<<31 || !cmp.Equal(x.Tags, []string{"a", "b"}) {
		t.Errorf("%+v, %v; want the key, the least priority and two tags", x, err)
	}
	if _, err := k.Put(t.Context(), "a", "", once, duly.Priority(1<<31-1)); err != nil {
		t.Error(err)
	}
}

// The text forms of policies are read as they are written, and anything else is refused with what there is.
func TestPolicies_Text(t *testing.T) {
	for want, o := range map[string]duly.OverlapPolicy{
		"skip": duly.Skip, "buffer": duly.BufferOne, "cancel": duly.CancelOther, "allow": duly.Allow, "buffer-many:1": duly.BufferAll(1), "buffer-many:10000": duly.BufferAll(10_000),
	} {
		var back duly.OverlapPolicy
		if err := back.UnmarshalText([]byte(o.String())); o.String() != want || back != o || err != nil {
			t.Errorf("%v is read as %v, %v; want %s", o, back, err, want)
		}
	}
	for want, c := range map[string]duly.CatchUpPolicy{
		"latest": duly.Latest, "earliest": duly.Oldest, "none": duly.None, "all:1": duly.All(1), "all:10000": duly.All(10_000),
	} {
		var back duly.CatchUpPolicy
		if err := back.UnmarshalText([]byte(c.String())); c.String() != want || back != c || err != nil {
			t.Errorf("%v is read as %v, %v; want %s", c, back, err, want)
		}
	}
	for _, bad := range []string{"Skip", "buffer-many", "buffer-many:", "buffer-many:0", "buffer-many:-1", "buffer-many:10001", "buffer-many:x", "buffer-many:99999999999999999999", "buffer-many:-99999999999999999999", "all:1", "latest", " skip", "buffer:1"} {
		o := duly.Allow
		err := o.UnmarshalText([]byte(bad))
		if want := fmt.Sprintf(`invalid argument: policy is %q, want skip, buffer, cancel, allow or buffer-many:n with n from 1 to 10000`, bad); !errors.Is(err, duly.ErrInvalid) || err.Error() != want || o != duly.Skip {
			t.Errorf("%v, %v; want %s, and the default", o, err, want)
		}
	}
	c := duly.None
	err := c.UnmarshalText([]byte(strings.Repeat("x", 100)))
	if want := `invalid argument: policy is "` + strings.Repeat("x", 40) + `", want latest, earliest, none or all:n with n from 1 to 10000`; err == nil || err.Error() != want || c != duly.Latest {
		t.Errorf("%v, %v; want %s, and the default", c, err, want)
	}
}

// A mistake about a kind is told when the kind is put or run, and what would be right.
func TestHandle_Refused(t *testing.T) {
	nothing := func(context.Context, *duly.Attempt[string]) error { return nil }
	with := func(name string, opts ...duly.KindOption) func(s *duly.Scheduler) *duly.Kind[string] {
		return func(s *duly.Scheduler) *duly.Kind[string] { return duly.Handle(s, name, nothing, opts...) }
	}
	for _, tt := range []struct {
		handle func(s *duly.Scheduler) *duly.Kind[string]
		want   string
	}{
		{with("k", duly.Limit(0)), `limit is 0, want at least 1`},
		{with("k", duly.Limit(-1), duly.Limit(-2)), `limit is -1, want at least 1`},
		{with("k", duly.Limit(-1), duly.Rate(0, 0)), `limit is -1, want at least 1`},
		{with("k", duly.Rate(0, 1)), `rate is 0, want more than 0 a second`},
		{with("k", duly.Rate(-0.5, 1)), `rate is -0.5, want more than 0 a second`},
		{with("k", duly.Rate(-1, 0)), `rate is -1, want more than 0 a second`},
		{with("k", duly.Rate(1, 0)), `burst is 0, want at least 1`},
		{with("k", duly.Rate(1, 0), duly.Rate(0, 1)), `burst is 0, want at least 1`},
		{with("k", duly.WithCodec[string](nil)), `codec is nil, want one for string, or none, which is JSON`},
		{with("k", duly.Limit(0), duly.WithCodec[string](nil)), `limit is 0, want at least 1`},
		{with("k", duly.WithCodec[int](numbers{})), `codec is duly_test.numbers, want one for string`},
		{with(""), `kind is "", want 1 to 255 bytes of UTF-8 without control characters, not . or ..`},
		{func(s *duly.Scheduler) *duly.Kind[string] { return duly.Handle[string](s, "k", nil) }, `handler is nil, want a function`},
		{func(s *duly.Scheduler) *duly.Kind[string] {
			with("k")(s)
			return with("k")(s)
		}, `kind is "k", want a kind that is not handled yet`},
	} {
		s, err := duly.New()
		if err != nil {
			t.Fatal(err)
		}
		want := "store: handle: " + tt.want
		k := tt.handle(s)
		if _, err := k.Put(t.Context(), "a", "", schedule.After(0)); !errors.Is(err, duly.ErrInvalid) || err.Error() != want {
			t.Errorf("Put: %v\nwant %s", err, want)
		}
		if all, err := k.PutMany(t.Context(), one(duly.Item[string]{Name: "a", Schedule: schedule.After(0)})); err != nil || len(all) != 1 || all[0].Err == nil || all[0].Err.Error() != want {
			t.Errorf("PutMany: %+v, %v\nwant %s", all, err, want)
		}
		if err := s.Run(t.Context()); !errors.Is(err, duly.ErrInvalid) || err.Error() != want {
			t.Errorf("Run: %v\nwant %s", err, want)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// numbers is a codec that encodes as a person would write it, and no negative ones.
type numbers struct{}

func (numbers) Encode(v int) ([]byte, error) {
	if v < 0 {
		return nil, errors.New("it is negative")
	}
	return fmt.Appendf(nil, "no. %d", v), nil
}

func (numbers) Decode(b []byte) (v int, err error) {
	_, err = fmt.Sscanf(string(b), "no. %d", &v)
	return v, err
}

func one[T any](it duly.Item[T]) iter.Seq[duly.Item[T]] {
	return func(yield func(duly.Item[T]) bool) { yield(it) }
}

// A kind's own codec is what its payloads are stored by. What it cannot encode is not put, and what it cannot decode is dead at once.
func TestHandle_Codec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaths []duly.Death
		s, err := duly.New(duly.Options{OnDead: func(_ context.Context, d duly.Death) { deaths = append(deaths, d) }})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		k := duly.Handle(s, "k", func(_ context.Context, a *duly.Attempt[int]) error {
			got = append(got, a.Payload)
			return nil
		}, duly.WithCodec[int](numbers{}))
		raw := duly.Declare[[]byte](s, "k")
		if k.Name() != "k" || raw.Name() != "k" {
			t.Errorf("the kinds are %q and %q, want k", k.Name(), raw.Name())
		}
		if _, err := k.Put(t.Context(), "a", 42, schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		if x, err := s.Get(t.Context(), "a"); err != nil || string(x.Payload) != "no. 42" {
			t.Errorf("the payload is %s, %v; want no. 42", x.Payload, err)
		}
		e, err := k.Put(t.Context(), "b", -1, schedule.After(0))
		if want := `store: put "b": invalid argument: encode the payload: it is negative`; !errors.Is(err, duly.ErrInvalid) || err.Error() != want || e != (duly.Entry{}) {
			t.Errorf("%+v, %v\nwant %s", e, err, want)
		}
		if _, err := raw.Put(t.Context(), "c", []byte("forty-two"), schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		synctest.Wait()
		if len(got) != 1 || got[0] != 42 {
			t.Errorf("ran with %v, want 42", got)
		}
		if len(deaths) != 1 || deaths[0].Name != "c" || deaths[0].Attempts != 1 || deaths[0].Reason != `decode the payload of "c": input does not match format` {
			t.Errorf("dead are %+v, want c, which can't be decoded", deaths)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
	})
}

// sized is a store that notes how many tasks are put at once.
type sized struct {
	*memory.Store

	sizes []int
}

func (s *sized) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	s.sizes = append(s.sizes, len(puts))
	return s.Store.Put(ctx, puts)
}

// Of many tasks each has its entry in its place, whether it was put or refused, and by the kind's own options or those of the task. They are
// put a thousand at a time, and not those that were refused before.
func TestPutMany_Places(t *testing.T) {
	st := &sized{Store: memory.New(memory.Options{})}
	s, err := duly.New(duly.Options{Store: st, Namespace: "ns"})
	if err != nil {
		t.Fatal(err)
	}
	k := duly.Declare[string](s, "k", duly.Defaults(duly.Priority(1), duly.OnConflict(duly.Fail)))
	if _, err := k.Put(t.Context(), "t7", "", schedule.After(time.Hour)); err != nil {
		t.Fatal(err)
	}
	st.sizes = nil
	all, err := k.PutMany(t.Context(), func(yield func(duly.Item[string]) bool) {
		for i := range 2003 {
			it := duly.Item[string]{Name: fmt.Sprint("t", i), Schedule: schedule.After(time.Hour)}
			switch i {
			case 3:
				it.Options = []duly.PutOption{duly.Priority(5)}
			case 5, 1500:
				it.Options = []duly.PutOption{nil, duly.Priority(9)}
			}
			if !yield(it) {
				return
			}
		}
	})
	if err != nil || len(all) != 2003 || !cmp.Equal(st.sizes, []int{1000, 1000, 1}) {
		t.Fatalf("%d entries, put %v at once, %v; want 2003, put by the thousand and one", len(all), st.sizes, err)
	}
	for i, e := range all {
		name := fmt.Sprint("t", i)
		switch want := map[int]string{
			5: `store: put "ns/t5": option is nil, want an option`, 1500: `store: put "ns/t1500": option is nil, want an option`, 7: `store: put "ns/t7": a task of this name exists`,
		}[i]; {
		case e.Name != name || e.Namespace != "ns":
			t.Errorf("entry %d is %+v, want that of %s", i, e, name)
		case want != "":
			if e.Err == nil || e.Err.Error() != want || i != 7 && e.Generation != 0 {
				t.Errorf("%+v, want %s", e, want)
			}
		case e.Err != nil || e.Outcome != duly.Created || e.Generation == 0:
			t.Errorf("%+v, want it created", e)
		}
	}
	for name, want := range map[string]int{"t0": 1, "t3": 5, "t2002": 1} {
		if x, err := s.Get(t.Context(), name); err != nil || x.Priority != want {
			t.Errorf("%s: %+v, %v; want priority %d", name, x, err, want)
		}
	}
	st.sizes = nil
	if all, err := k.PutMany(t.Context(), func(func(duly.Item[string]) bool) {}); len(all) != 0 || err != nil || len(st.sizes) != 0 {
		t.Errorf("none are put as %+v, %v, %v", all, st.sizes, err)
	}
	if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
		t.Error(err)
	}
}
