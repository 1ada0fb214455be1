package duly_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// Options that can't be right are refused with what would be; at their bounds they are taken.
func TestNew_Refused(t *testing.T) {
	for want, opts := range map[string][]duly.Options{
		`options is 2, want at most one Options`:                  {{}, {}},
		`workers is -1, want at least 1, or 0 for 10000`:          {{Workers: -1}},
		`lease is 99.999999ms, want at least 100ms, or 0 for 30s`: {{Lease: 100*time.Millisecond - 1}},
		`lease is -1ns, want at least 100ms, or 0 for 30s`:        {{Lease: -1}},
		`drain timeout is -1ns, want more than 0, or 0 for 30s`:   {{DrainTimeout: -1}},
		`owner is 256 bytes, want at most 255`:                    {{Owner: strings.Repeat("x", 256)}},
	} {
		s, err := duly.New(opts...)
		if want = "store: new: " + want; s != nil || !errors.Is(err, duly.ErrInvalid) || err.Error() != want {
			t.Errorf("%v, %v\nwant %s", s, err, want)
		}
	}
	for _, o := range []duly.Options{{Workers: 1}, {Lease: 100 * time.Millisecond}, {DrainTimeout: 1}, {Owner: strings.Repeat("x", 255)}} {
		s, err := duly.New(o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A scheduler without an owner's name is told from others by its host, its process and a number; a store that New made is closed with it,
// and one that it was given is not.
func TestNew_OwnerAndStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		given := memory.New(memory.Options{})
		owners := map[string]bool{}
		for _, st := range []store.Store{nil, given} {
			s, err := duly.New(duly.Options{Store: st})
			if err != nil {
				t.Fatal(err)
			}
			k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error { return takes(time.Hour)(ctx, a) })
			ended := make(chan error)
			go func() { ended <- s.Run(t.Context()) }()
			if _, err := k.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			x, err := s.Get(t.Context(), "a")
			if err != nil || len(x.Runs) != 1 {
				t.Fatalf("%+v, %v", x, err)
			}
			owner := x.Runs[0].Owner
			if want := fmt.Sprintf("%.200s:%d:", host, os.Getpid()); !strings.HasPrefix(owner, want) || len(owner) != len(want)+8 {
				t.Errorf("the owner is %q, want %s and 8 digits", owner, want)
			}
			owners[owner] = true
			if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
				t.Error(err)
			}
			_, err = s.Store().Stats(t.Context())
			if closed := errors.Is(err, store.ErrClosed); closed != (st == nil) {
				t.Errorf("the store is closed with the scheduler: %t, want %t", closed, st == nil)
			}
		}
		if len(owners) != 2 {
			t.Errorf("owners %v, want two", owners)
		}
		if err := given.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Drain lets what runs finish, and Close asks it to stop.
func TestDrain_LetsFinish(t *testing.T) {
	for what, want := range map[string]string{"drain": "<nil> after 10m0s", "close": "the scheduler is being closed after 1m0s"} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			s, err := duly.New()
			if err != nil {
				t.Fatal(err)
			}
			var got string
			k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
				err := takes(10*time.Minute)(ctx, a)
				got = fmt.Sprintf("%v after %v", err, time.Since(begun))
				return err
			})
			ended := make(chan error)
			go func() { ended <- s.Run(t.Context()) }()
			if _, err := k.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			how := map[string]func(context.Context) error{"drain": s.Drain, "close": s.Close}[what]
			if err := errors.Join(how(t.Context()), <-ended); err != nil {
				t.Error(err)
			}
			if got != want {
				t.Errorf("%s: the attempt ended with %s, want %s", what, got, want)
			}
			if _, err := k.Put(t.Context(), "b", "", schedule.After(0)); !errors.Is(err, duly.ErrClosed) {
				t.Errorf("Put after %s: %v, want ErrClosed", what, err)
			}
			if err := s.Run(t.Context()); !errors.Is(err, duly.ErrClosed) {
				t.Errorf("Run after %s: %v, want ErrClosed", what, err)
			}
		})
	}
}
