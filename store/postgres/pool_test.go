package postgres_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

func withPool(url string, conns int) string {
	sep := "&"
	if !strings.Contains(url, "://") {
		sep = " "
	} else if !strings.Contains(url, "?") {
		sep = "?"
	}
	return fmt.Sprintf("%s%spool_max_conns=%d", url, sep, conns)
}

// A pool may be as small as its user wants: calls wait for each other then, and those that wait for a row leave a connection to the rest.
func TestOpen_SmallPools(t *testing.T) {
	t.Parallel()
	for most, c := range map[int]struct{ readers, alone int }{1: {1, 1}, 2: {1, 1}, 4: {1, 1}, 8: {2, 2}, 12: {4, 4}, 72: {4, 4}} {
		if readers, alone := postgres.ShareOut(most); readers != c.readers || alone != c.alone {
			t.Errorf("of %d connections %d read and %d wait, want %d and %d", most, readers, alone, c.readers, c.alone)
		}
	}
	for _, most := range []int{1, 3} {
		t.Run(strconv.Itoa(most), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			o := quiet(t)
			o.Schema = d.schema
			s := opened(t, withPool(d.url, most), o)
			x := both[0].begin(t, d.url, "")
			const held = 6
			for i := range held {
				x.put(d.other, due(fmt.Sprint("held", i), "theirs", time.Hour))
			}
			done := make(chan error, held)
			for i := range held {
				go func() {
					res, err := s.Put(context.WithoutCancel(t.Context()), []store.Put{due(fmt.Sprint("held", i), "ours", time.Hour)})
					if err == nil {
						err = res[0].Err
					}
					done <- err
				}()
			}
			d.waits(1, done)
			for i := range 5 {
				run := claim(t, s, put(t, s, due(fmt.Sprint("free", i), "", -time.Minute)).Task)
				set, err := s.Settle(t.Context(), []store.Settlement{{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Done}})
				if err != nil || set[0].Err != nil {
					t.Fatal(set, err)
				}
			}
			x.end(true)
			for range held {
				if err := <-done; err != nil {
					t.Errorf("Put: %v", err)
				}
			}
			for i := range held {
				if got := get(t, s, fmt.Sprint("held", i)); got == nil || string(got.Payload) != "ours" {
					t.Errorf("there is %+v, want what was put last", got)
				}
			}
		})
	}
}
