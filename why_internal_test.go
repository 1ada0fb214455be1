package duly

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// wantWhy compares what WhyNot tells of a task.
func (r *heldRig) wantWhy(name string, code WhyCode, text string, until time.Duration) {
	r.t.Helper()
	w, err := r.s.WhyNot(r.t.Context(), name)
	if err != nil || w.Code != code || w.Text != text {
		r.t.Errorf("%s: %s %q, %v; want %s %q", name, w.Code, w.Text, err, code, text)
	}
	if got := w.Until.Sub(r.begun); (until == 0) != w.Until.IsZero() || until != 0 && got != until {
		r.t.Errorf("%s: until %v, want %v", name, got, until)
	}
}

// What waits for memory says so, be it that it does not fit or that another is before it; what has no payload to speak of waits for a
// worker beside it.
func TestWhyNot_Bytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{Workers: 3})
		k := r.handle("k")
		r.work()
		r.put(k, "1h holds bytes", 8_000, 0)
		r.put(k, "1h beside", 10, 0)
		r.put(k, "1s too large", 9_000, time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.put(k, "1s fits", 1_500, 2*time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		const bytes = ", and the payloads of what runs take as much memory as they may"
		r.wantWhy("1s too large", WhyWorkers, "it is due since 2000-01-01T00:00:01Z"+bytes, 0)
		r.wantWhy("1s fits", WhyWorkers, "it is due since 2000-01-01T00:00:02Z"+bytes, 0)
		r.put(k, "1h fills", 10, 3*time.Second)
		synctest.Wait()
		r.put(k, "1s small", 10, 3*time.Second)
		synctest.Wait()
		r.wantWhy("1s small", WhyWorkers, "it is due since 2000-01-01T00:00:03Z, and all 3 workers are taken", 0)
		r.end()
	})
}

// What waits for a worker says so, whatever gates it will have passed by then.
func TestWhyNot_OpenGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{Workers: 1})
		k, some, paced := r.handle("k"), r.handle("some", Limit(5)), r.handle("paced", Rate(1.0/64, 1))
		r.work()
		r.put(k, "1h holds the worker", 0, 0)
		synctest.Wait()
		r.put(k, "1s of a key", 0, 0, Key("the key", 1))
		r.put(some, "1s of a kind", 0, 0)
		r.put(paced, "1s at a rate", 0, 0)
		synctest.Wait()
		for _, name := range []string{"1s of a key", "1s of a kind", "1s at a rate"} {
			r.wantWhy(name, WhyWorkers, "it is due since 2000-01-01T00:00:00Z, and the one worker is taken", 0)
		}
		r.end()
	})
}

// What waits for its kind's rate says until when.
func TestWhyNot_Rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		k := r.handle("paced", Rate(1.0/64, 1))
		r.work()
		r.put(k, "1s first", 0, 0)
		synctest.Wait()
		r.put(k, "1s second", 0, 10*time.Second)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		r.wantWhy("1s second", WhyKindLimit, "it is due since 2000-01-01T00:00:10Z, and the kind paced has used up its rate", 64*time.Second)
		r.end()
	})
}

// What was lost waits for another that was, and says so; what has merely failed, and what was lost where no such runs, does not.
func TestWhyNot_Suspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st, Workers: 2})
		k := r.handle("k")
		names := []string{"1h first", "1h second", "1h has failed"}
		for _, name := range names {
			r.put(k, name, 0, 0)
		}
		failed := crashed(t, st, "1h has failed", store.Occurrence{}, time.Second)
		if res, err := st.Settle(t.Context(), []store.Settlement{{RunID: failed.RunID, Fence: failed.Fence, Verb: store.VerbRetry, When: store.In(10*time.Second, 0), Reason: "failed"}}); err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		crashed(t, st, "1h first", store.Occurrence{}, time.Second)
		time.Sleep(time.Second)
		crashed(t, st, "1h second", store.Occurrence{}, time.Second)
		r.work()
		time.Sleep(5 * time.Second)
		r.put(k, "1h fills", 0, 6*time.Second)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		const due = "it is due since 2000-01-01T00:00:"
		r.wantWhy("1h second", WhySuspect, due+"02Z; its process died with it, and those to which that happened run one at a time", 0)
		r.wantWhy("1h has failed", WhyWorkers, due+"10Z, and all 2 workers are taken", 0)
		if err := errors.Join(r.s.Close(t.Context()), <-r.ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A task that runs is said to run, also while its next occurrence waits for a worker, if its runs may overlap.
func TestWhyNot_OverlapAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{Owner: "me", Workers: 2})
		k := r.handle("k")
		for name, o := range map[string]PutOption{"1h allows": Overlap(Allow), "1h does not": Overlap(BufferOne)} {
			if _, err := k.Put(t.Context(), name, nil, schedule.Every(time.Minute), o); err != nil {
				t.Fatal(err)
			}
		}
		r.work()
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		r.wantWhy("1h allows", WhyRunning, "attempt 1 runs since 2000-01-01T00:01:00Z, the lease is held by me", 0)
		r.wantWhy("1h does not", WhyOverlap, "an earlier run, due at 2000-01-01T00:01:00Z, is not settled; the overlap policy is buffer", 0)
		r.end()
	})
}

// What is due, and for which there is a worker, is about to start, also if it is tried again in a moment because somebody else's transaction
// held it.
func TestWhyNot_AboutToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &noting{Store: memory.New(memory.Options{}), refuses: 2}
		r := newHeldRig(t, Options{Store: st, Workers: 2, Owner: "me"})
		k := r.handle("k", Limit(2))
		r.work()
		r.put(k, "1h a", 10, time.Second, Key("x", 1))
		time.Sleep(time.Second)
		synctest.Wait()
		const due = "it is due since 2000-01-01T00:00:01Z"
		r.wantWhy("1h a", WhyStarting, due+", and is about to start", 0)
		time.Sleep(time.Second)
		synctest.Wait()
		r.wantWhy("1h a", WhyRunning, "attempt 1 runs since "+r.begun.Add(time.Second+4*time.Millisecond).UTC().Format(time.RFC3339Nano)+", the lease is held by me", 0)
		r.end()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}
