package dulyotel_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/storetest"
	dulyotel "github.com/dulyhq/duly/telemetry/otel"
)

const page = "../../docs/telemetry.md"

// rows returns the cells of the table below a heading of the page, without its head.
func rows(t *testing.T, heading string) (all [][]string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	text, _, _ := strings.Cut(rest, "\n#")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		all = append(all, cells)
	}
	return all
}

// TestDocs_Instruments compares the page's list of instruments with what a reader sees.
func TestDocs_Instruments(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if _, err := dulyotel.Observe(w.Scheduler, w.opts...); err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(w.Scheduler, "k", func(context.Context, *duly.Attempt[int]) error { return nil })
		put(t, k, "a", schedule.After(time.Second))
		w.run(t, time.Minute)
		are, said := w.collect(t), map[string]instrument{}
		for name, in := range are {
			in.Values = nil
			are[name] = in
		}
		for _, c := range rows(t, "### Instruments of OpenTelemetry") {
			in := instrument{Type: c[1], Unit: c[2], Attrs: regexp.MustCompile(`[a-z._]+`).FindAllString(c[3], -1)}
			slices.Sort(in.Attrs)
			if c[4] == "" {
				t.Errorf("%s: what does it mean?", c[0])
			}
			said[c[0]] = in
		}
		if diff := cmp.Diff(are, said); diff != "" {
			t.Errorf("%s (-are +said):\n%s", page, diff)
		}
	})
}

// TestDocs_Attributes compares the page's list of attributes with those of spans that have all of them.
func TestDocs_Attributes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.In("shop")
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[int]) error {
			if a.Number == 1 {
				<-ctx.Done()
			}
			return ctx.Err()
		})
		put(t, k, "a", schedule.Every(24*time.Hour), duly.Tags("hot"), duly.Timeout(time.Second))
		time.Sleep(30 * 24 * time.Hour) // nobody works: occurrences are folded
		w.run(t, time.Hour)
		stuck := duly.Handle(s, "stuck", func(_ context.Context, a *duly.Attempt[int]) error {
			if a.Lost == 0 {
				time.Sleep(10 * time.Minute)
			}
			return nil
		})
		put(t, stuck, "b", schedule.After(time.Second))
		w.store.Plant(storetest.Fault{Method: "Renew", Always: true}) // the lease ends, the handler does not
		if err := s.RunNow(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		w.run(t, time.Hour)
		are, said := map[string]bool{}, map[string]bool{}
		for _, span := range w.spans.GetSpans() {
			for key := range attrs(span.Attributes) {
				are[key] = true
			}
		}
		for _, c := range rows(t, "### Attributes of spans") {
			said[c[0]] = true
			if c[1] == "" {
				t.Errorf("%s: what does it mean?", c[0])
			}
		}
		if diff := cmp.Diff(are, said); diff != "" {
			t.Errorf("%s (-are +said):\n%s", page, diff)
		}
	})
}
