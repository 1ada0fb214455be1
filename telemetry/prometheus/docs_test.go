package dulyprom_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

// An exportedFamily is what a collector exports under one name.
type exportedFamily struct {
	Type   string
	Unit   string // s, or nothing
	Labels []string
}

// gather returns what the collector of a scheduler exports that has run a task.
func gather(t *testing.T) map[string]exportedFamily {
	t.Helper()
	got := map[string]exportedFamily{}
	synctest.Test(t, func(t *testing.T) {
		s, _ := newScheduler(t)
		k := duly.Handle(s, "good", func(context.Context, *duly.Attempt[int]) error { return nil })
		run(t, s)
		put(t, k, "a", 0, schedule.After(time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		c := quiet(s)
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(c)
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			x := exportedFamily{Type: strings.ToLower(f.GetType().String())}
			if strings.HasSuffix(f.GetName(), "_seconds") {
				x.Unit = "s"
			}
			for _, l := range f.GetMetric()[0].GetLabel() {
				x.Labels = append(x.Labels, l.GetName())
			}
			got[f.GetName()] = x
		}
		described := make(chan *prometheus.Desc, 100)
		c.Describe(described)
		if len(described) != len(got) {
			t.Errorf("%d families are described, %d are exported", len(described), len(got))
		}
	})
	return got
}

const page = "../../docs/telemetry.md"

// section returns the lines of the page below a heading.
func section(t *testing.T, heading string) []string {
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
	return strings.Split(text, "\n")
}

var row = regexp.MustCompile("^\\| `([a-z_]+)` \\| ([a-z]+) \\| ([a-z]*) ?\\| ([a-z, ]*?) ?\\| [^| ]")

// TestDocs_Metrics compares the page's list of metrics with what is exported.
func TestDocs_Metrics(t *testing.T) {
	said := map[string]exportedFamily{}
	for _, line := range section(t, "### Metrics of Prometheus") {
		if m := row.FindStringSubmatch(line); m != nil {
			f := exportedFamily{Type: m[2]}
			if m[3] == "s" {
				f.Unit = "s"
			}
			for l := range strings.SplitSeq(m[4], ", ") {
				if l != "" {
					f.Labels = append(f.Labels, l)
				}
			}
			said[m[1]] = f
		}
	}
	if diff := cmp.Diff(gather(t), said); diff != "" {
		t.Errorf("%s (-exported +said):\n%s", page, diff)
	}
}

// TestDocs_Alerts compares the page's list of alerts with the rules.
func TestDocs_Alerts(t *testing.T) {
	var said, are []string
	for _, line := range section(t, "## The alerts") {
		if m := regexp.MustCompile("^\\| `([A-Za-z]+)` \\|").FindStringSubmatch(line); m != nil {
			said = append(said, m[1])
		}
	}
	for name := range alerts(t) {
		are = append(are, name)
	}
	slices.Sort(said)
	slices.Sort(are)
	if diff := cmp.Diff(are, said); diff != "" {
		t.Errorf("%s (-are +said):\n%s", page, diff)
	}
}
