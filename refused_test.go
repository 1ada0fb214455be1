package duly_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What the scheduler does with rows that the store refuses, and with calls that it fails for good.

// A claim that is refused though all that was read of the task says that it can be granted is tried again at once, and then more and more
// seldom, up to once a second; also where it is not known of this row alone whether it was granted. Once it was granted it is forgotten how
// often it was not.
func TestClaim_RefusedAgainAndAgain(t *testing.T) {
	for _, err := range []error{store.ErrBusy, store.ErrUnknown} {
		t.Run(err.Error(), func(t *testing.T) { refusedAgainAndAgain(t, err) })
	}
}

func refusedAgainAndAgain(t *testing.T, err error) {
	t.Helper()
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.mute = true
		r.work()
		r.refuse("Claim", "a", err)
		r.put("a", schedule.After(time.Second))
		r.at(5 * time.Second)
		r.wantCalls(t, "Claim Get",
			"1s Claim a", "1s Get a", "1s Claim a", "1s Get a", "1.004s Claim a", "1.004s Get a", "1.012s Claim a", "1.012s Get a",
			"1.028s Claim a", "1.028s Get a", "1.06s Claim a", "1.06s Get a", "1.124s Claim a", "1.124s Get a", "1.252s Claim a", "1.252s Get a",
			"1.508s Claim a", "1.508s Get a", "2.02s Claim a", "2.02s Get a", "3.044s Claim a", "3.044s Get a", "4.068s Claim a", "4.068s Get a",
		)
		r.refuse("Claim", "a", nil)
		r.at(20 * time.Second)
		r.wantRan("5.092s a #1")
		r.put("b", schedule.Every(5*time.Second))
		r.forget()
		for from := 25 * time.Second; from < 40*time.Second; from += 5 * time.Second {
			r.refuse("Claim", "b", err)
			r.at(from)
			r.refuse("Claim", "b", nil)
			r.at(from + 4*time.Millisecond)
		}
		r.wantCalls(t, "Claim",
			"25s Claim b", "25s Claim b", "25.004s Claim b", "30s Claim b", "30s Claim b", "30.004s Claim b", "35s Claim b", "35s Claim b", "35.004s Claim b")
		r.wantLogged(t)
		r.end()
	})
}

// A claim that no store would grant is said to be refused, and tried again in a minute: meanwhile its task waits for a worker, as far as
// lateness is told, and not to be seen.
func TestClaim_Invalid(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		r.refuse("Claim", "a", store.ErrInvalid)
		r.put("a", schedule.After(time.Second))
		r.put("b", schedule.After(time.Second))
		r.at(3 * time.Minute)
		r.refuse("Claim", "a", nil)
		r.at(6 * time.Minute)
		r.wantCalls(t, "Claim", "1s Claim a b", "1m1s Claim a", "2m1s Claim a", "3m1s Claim a")
		r.wantRan("1s b #1", "3m1s a #1")
		const said = `s level=ERROR msg="a claim was refused, it is tried again in a minute" task=a error="invalid argument"`
		r.wantLogged(t, "1"+said, "1m1"+said, "2m1"+said)
		if k := r.stats().Kinds["k"]; k.Wake.Sum != 0 || k.Slot.Sum != 3*time.Minute || k.Claim.Sum != 0 {
			t.Errorf("it waited %v to be seen, %v for a worker, %v for the store; want 3m for a worker", k.Wake.Sum, k.Slot.Sum, k.Claim.Sum)
		}
		r.end()
	})
}

// A token of a kind's rate whose claim was refused is there for the next one.
func TestClaim_RefusedTakesNoToken(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		k := duly.Handle(r.d, "rated", quick, duly.Rate(0.01, 1))
		r.work()
		r.refuse("Claim", "a", store.ErrInvalid)
		for _, name := range []string{"a", "b", "c"} {
			if _, err := k.Put(t.Context(), name, "", schedule.After(time.Second), duly.Key("x", 10)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		r.at(3 * time.Minute)
		r.wantCalls(t, "Claim", "1s Claim a", "1.001s Claim b", "1m41.001000001s Claim a", "1m41.001000001s Claim c")
		r.end()
	})
}

// A store that takes one kind of writes, and not what it has failed to take, does not work again.
func TestClaim_FailsBesideEdits(t *testing.T) {
	tap(t, duly.Options{}, takes(time.Hour), func(t *testing.T, r *rig) {
		r.work()
		r.put("stops", schedule.Every(5*time.Second).Times(2), duly.Overlap(duly.CancelOther))
		r.at(6 * time.Second)
		r.fail(store.ErrBroken, "Claim")
		r.put("a", schedule.After(time.Second))
		r.at(20 * time.Second)
		if edits := r.of("Edit"); len(edits) != 1 {
			t.Errorf("%q, want that a run is asked to stop meanwhile", edits)
		}
		const fails = `7s level=ERROR msg="the store fails, nothing new starts" doing="claim what is due" error="storage has failed"`
		r.wantLogged(t, fails)
		r.fail(nil, "Claim")
		r.at(22 * time.Second)
		r.wantLogged(t, fails, `21.55s level=INFO msg="the store works again"`)
		r.end()
	})
}

// A claim whose answer was lost, and that was not granted, leaves nothing to be given back.
func TestClaim_LostAndNotGranted(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		r.fail(store.ErrUnknown, "Claim")
		r.put("a", schedule.After(time.Second))
		r.at(time.Second)
		r.end()
		r.wantCalls(t, "Settle")
		if len(r.of("Claim")) == 0 {
			t.Error("nothing was claimed")
		}
	})
}

// The store is closed under a scheduler that works: Run ends by itself, whatever it finds that out by, and returns the store's error.
func TestRun_StoreIsClosed(t *testing.T) {
	for _, tt := range []struct {
		by  string
		far bool
	}{{"Claim", false}, {"Due", false}, {"Edit", false}, {"Get", false}, {"Settle", false}, {"Clock", true}} {
		t.Run(tt.by, func(t *testing.T) {
			tap(t, duly.Options{}, takes(700*time.Millisecond), func(t *testing.T, r *rig) {
				r.far = tt.far
				r.work()
				r.put("in its way", schedule.After(800*time.Millisecond), duly.Key("x", 1))
				r.put("late", schedule.After(900*time.Millisecond), duly.StartWithin(400*time.Millisecond), duly.Key("x", 1))
				r.at(1200 * time.Millisecond)
				r.fail(store.ErrClosed, tt.by)
				if tt.by == "Get" {
					r.refuse("Claim", "a", store.ErrBusy)
				}
				r.put("a", schedule.After(100*time.Millisecond))
				r.at(11 * time.Second)
				select {
				case err := <-r.ended:
					if !errors.Is(err, store.ErrClosed) {
						t.Errorf("Run: %v, want that the store is closed", err)
					}
				default:
					if tt.by != "Settle" { // it is the attempt that learns of it
						t.Errorf("Run goes on: %q", r.timeline())
					}
					r.fail(nil, tt.by)
					r.at(time.Minute)
					if err := errors.Join(r.d.Close(t.Context()), <-r.ended); err != nil {
						t.Error(err)
					}
				}
				if tt.by == "Settle" {
					const said = ` level=ERROR msg="how an attempt ended could not be written; it will be tried again" task=`
					r.wantLogged(t, "1.5s"+said+`"in its way" error="store is closed"`, "2s"+said+`a error="store is closed"`)
				} else {
					r.wantLogged(t)
				}
				if err := errors.Join(r.d.Close(t.Context()), r.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Run that can't read the store's clock tries again, more and more seldom, and says so once; it ends when it is asked to meanwhile.
func TestRun_ClockFailsAtFirst(t *testing.T) {
	for _, how := range []string{"it works again", "drained", "its context ends", "closed"} {
		t.Run(how, func(t *testing.T) {
			tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
				r.fail(store.ErrBroken, "Clock")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { r.ended <- r.d.Run(ctx) }()
				r.at(time.Second)
				r.wantCalls(t, "Clock", "0s Clock", "10ms Clock", "30ms Clock", "70ms Clock", "150ms Clock", "310ms Clock", "630ms Clock")
				const said = `0s level=ERROR msg="the store fails, nothing new starts" doing="read the clock" error="storage has failed"`
				r.wantLogged(t, said)
				r.forget()
				switch how {
				case "it works again":
					r.fail(nil, "Clock")
					r.put("a", schedule.After(0))
					r.at(2 * time.Second)
					r.wantRan("1.27s a #1")
					r.wantLogged(t, `1.27s level=INFO msg="the store works again"`)
					r.end()
					return
				case "drained":
					if err := r.d.Drain(t.Context()); err != nil {
						t.Error(err)
					}
				case "its context ends":
					cancel()
				case "closed":
					r.fail(store.ErrClosed, "Clock")
				}
				r.at(2 * time.Second)
				select {
				case err := <-r.ended:
					if !errors.Is(err, store.ErrClosed) != (how != "closed") || err != nil && how != "closed" {
						t.Errorf("Run: %v", err)
					}
				default:
					t.Fatal("Run goes on")
				}
				if how != "closed" {
					r.wantCalls(t, "Clock")
				}
				if err := errors.Join(r.d.Close(t.Context()), r.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What several edits of one call have left is told by the answer to each: one that is refused is read and tried again, and holds up no other.
func TestEdit_RefusedBesideAnother(t *testing.T) {
	for _, which := range []string{"a", "b"} {
		t.Run(which, func(t *testing.T) {
			slow := func(ctx context.Context, a *duly.Attempt[string]) error { // so that its end is not written meanwhile
				err := takes(time.Hour)(ctx, a)
				time.Sleep(5 * time.Second)
				return err
			}
			tap(t, duly.Options{}, slow, func(t *testing.T, r *rig) {
				r.mute = true
				r.work()
				other := "b"
				if which == "b" {
					other = "a"
				}
				for _, name := range []string{"a", "b"} {
					r.put(name, schedule.Every(10*time.Second).Times(2), duly.Overlap(duly.CancelOther))
				}
				r.refuse("Edit", which, store.ErrBusy)
				r.at(20 * time.Second)
				r.refuse("Edit", which, nil)
				r.at(24 * time.Second)
				r.wantCalls(t, "Edit Get", "20s Edit a b", "20s Get "+which, "20s Edit "+which, "20s Get "+which, "20.004s Edit "+which)
				r.at(30 * time.Second)
				slices.Sort(r.ran)
				const stopped = " #1: the attempt is asked to stop"
				r.wantRan("10s a #1", "10s b #1", "25.004s "+which+" #1", "25.004s "+which+stopped, "25s "+other+" #1", "25s "+other+stopped)
				r.wantLogged(t)
				r.end()
			})
		})
	}
}

// What a call has left of a task is told by its answer, and read only if that says nothing of it; and a task of which nothing was written runs
// when it was to.
func TestWrites_AreKnownByTheirAnswers(t *testing.T) {
	for _, tt := range []struct {
		call string
		do   func(r *rig) error
		when string // it begins, if it is not refused
	}{
		{"Put", func(r *rig) error {
			_, err := r.kind.Put(r.t.Context(), "a", "", schedule.After(4*time.Second))
			return err
		}, "5s"},
		{"Cancel", func(r *rig) error {
			_, err := r.d.Cancel(r.t.Context(), "a")
			return err
		}, ""},
		{"Edit", func(r *rig) error {
			_, err := r.d.Pause(r.t.Context(), duly.Query{}, "")
			return err
		}, ""},
	} {
		for _, refused := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.call, " refused=", refused), func(t *testing.T) {
				tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
					r.mute = true
					r.work()
					r.put("a", schedule.After(3*time.Second))
					r.at(time.Second)
					var want, reads []string
					if tt.when != "" {
						want = []string{tt.when + " a #1"}
					}
					if refused {
						r.refuse(tt.call, "a", store.ErrInvalid)
						want, reads = []string{"3s a #1"}, []string{"1s Get a"}
					}
					if err := tt.do(r); errors.Is(err, store.ErrInvalid) != refused {
						t.Errorf("%v", err)
					}
					r.at(10 * time.Second)
					r.wantCalls(t, "Get", reads...)
					r.wantRan(want...)
					r.end()
				})
			})
		}
	}
}

// The store's clock is looked at when Run begins, and when a claim is refused because it is not due: once, and for no other claim. One that is
// elsewhere is looked at now and then besides.
func TestClaim_NotDue(t *testing.T) {
	for _, far := range []bool{false, true} {
		t.Run(fmt.Sprint("far=", far), func(t *testing.T) {
			tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
				r.far = far
				r.work()
				r.put("a", schedule.After(time.Second))
				r.put("b", schedule.After(2*time.Second))
				r.put("c", schedule.After(3*time.Second))
				r.put("d", schedule.After(4*time.Second))
				r.forget()
				r.at(1500 * time.Millisecond)
				r.refuse("Claim", "b", store.ErrNotDue)
				r.at(2 * time.Second)
				r.refuse("Claim", "b", nil)
				r.refuse("Claim", "c", store.ErrBusy)
				r.at(3 * time.Second)
				r.refuse("Claim", "c", nil)
				r.at(5 * time.Second)
				r.wantCalls(t, "Clock", "2s Clock")
				r.wantRan("1s a #1", "2.001s b #1", "3.004s c #1", "4s d #1")
				r.end()
			})
		})
	}
}
