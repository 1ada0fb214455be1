package dulyprom_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// A query is what an expression of PromQL asks for.
type query struct {
	metrics []string // in order, with _bucket, _sum and _count
	labels  []string // that it selects or groups by
}

var (
	token = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|[A-Za-z_:][A-Za-z0-9_:]*|[0-9.]+[a-z]*|=~|!~|!=|>=|<=|==|\S`)

	functions = []string{"abs", "histogram_quantile", "increase", "label_values", "max", "min", "min_over_time", "rate", "sum"}
	keywords  = []string{"and", "bool", "offset", "or", "unless"}
	lists     = []string{"by", "ignoring", "on", "without"} // of labels, in parentheses
)

// parse takes an expression apart, by its tokens alone. Whatever is no function, keyword or label has to be a metric.
func parse(expr string) (query, error) {
	var q query
	var open []string // "(", "{", or "by (" for a list of labels
	all := token.FindAllString(expr, -1)
	at := func(i int) string {
		if i < 0 || i >= len(all) {
			return ""
		}
		return all[i]
	}
	inside := func() string {
		if len(open) == 0 {
			return ""
		}
		return open[len(open)-1]
	}
	for i, tok := range all {
		word := regexp.MustCompile(`^[A-Za-z_:]`).MatchString(tok)
		switch {
		case tok == "(" && slices.Contains(lists, at(i-1)):
			open = append(open, "by (")
		case tok == "(", tok == "{":
			open = append(open, tok)
		case tok == ")" || tok == "}":
			if want := map[string]string{"(": ")", "by (": ")", "{": "}"}[inside()]; tok != want {
				return q, fmt.Errorf("%q closes nothing", tok)
			}
			open = open[:len(open)-1]
		case !word:
		case inside() == "{" || inside() == "by (":
			q.labels = append(q.labels, tok)
		case slices.Contains(lists, tok) && at(i+1) == "(":
		case at(i+1) == "(" || slices.Contains(lists, at(i+1)): // sum by (kind) (...)
			if !slices.Contains(functions, tok) && !slices.Contains(keywords, tok) {
				return q, fmt.Errorf("%s is no function that is known here", tok)
			}
		case slices.Contains(keywords, tok):
		case at(i-1) == "," && at(i+1) == ")" && strings.HasPrefix(expr, "label_values("):
			q.labels = append(q.labels, tok) // label_values(metric, label)
		default:
			q.metrics = append(q.metrics, tok)
		}
	}
	if len(open) > 0 {
		return q, fmt.Errorf("%q is not closed", inside())
	}
	if len(q.metrics) == 0 {
		return q, errors.New("it asks for no metric")
	}
	return q, nil
}

// check returns what is wrong with an expression: a metric that is not exported, or a label that it does not have.
func check(expr string, exported map[string]exportedFamily) error {
	q, err := parse(expr)
	if err != nil {
		return err
	}
	has := []string{"instance", "job", "le"}
	for _, m := range q.metrics {
		f, ok := exported[m]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(m, suffix); cut && exported[base].Type == "histogram" {
				f, ok = exported[base], true
			}
		}
		if !ok || f.Type == "histogram" && exported[m].Type != "" {
			return fmt.Errorf("%s is not exported", m)
		}
		has = append(has, f.Labels...)
	}
	for _, l := range q.labels {
		if !slices.Contains(has, l) {
			return fmt.Errorf("no metric of it has the label %s", l)
		}
	}
	return nil
}

func TestCheck(t *testing.T) {
	exported := map[string]exportedFamily{
		"a_total": {Type: "counter", Labels: []string{"kind"}}, "b": {Type: "gauge"}, "h_seconds": {Type: "histogram", Labels: []string{"part"}},
	}
	for expr, want := range map[string]string{
		`sum by (kind) (rate(a_total{job=~"$job", kind="x(}"}[$__rate_interval])) > 0`: "",
		`histogram_quantile(0.5, sum without (part) (rate(h_seconds_bucket[5m])))`:     "",
		`b unless on (job) (a_total unless a_total offset 15m) > 0`:                    "",
		`label_values(b{job="x"}, instance)`:                                           "",
		`rate(h_seconds_sum[5m]) / rate(h_seconds_count[5m])`:                          "",
		`rate(h_seconds[5m])`:     "h_seconds is not exported",
		`b_bucket`:                "b_bucket is not exported",
		`rate(c_total[5m])`:       "c_total is not exported",
		`sum by (part) (a_total)`: "no metric of it has the label part",
		`b{kind="x"}`:             "no metric of it has the label kind",
		`frobnicate(b)`:           "frobnicate is no function that is known here",
		`sum(b`:                   `"(" is not closed`,
		`b)`:                      `")" closes nothing`,
		`b{job="x")`:              `")" closes nothing`,
		`1 > 0`:                   "it asks for no metric",
	} {
		got := ""
		if err := check(expr, exported); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// alerts returns the rules of alerts.yml by name.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if rules[r.Alert] != "" {
				t.Errorf("two rules are called %s", r.Alert)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s lacks a severity, a summary or a description", r.Alert)
			}
			rules[r.Alert] = r.Expr
		}
	}
	return rules
}

func TestAlerts_AskForWhatIsExported(t *testing.T) {
	exported := gather(t)
	rules := alerts(t)
	if len(rules) == 0 {
		t.Error("alerts.yml has no rules")
	}
	for name, expr := range rules {
		if err := check(expr, exported); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// board returns what grafana/duly.json asks for: the expressions, and where they stand.
func board(t *testing.T) (exprs [][2]string) {
	t.Helper()
	b, err := os.ReadFile("grafana/duly.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		UID        string
		Title      string
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if file.UID != "duly" || file.Title == "" {
		t.Errorf("the board's uid and title are %q and %q", file.UID, file.Title)
	}
	for _, v := range file.Templating.List {
		if v.Type == "query" {
			exprs = append(exprs, [2]string{"variable " + v.Name, v.Query})
		}
	}
	cells := map[[2]int]string{}
	for _, p := range file.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			exprs = append(exprs, [2]string{"panel " + p.Title, q.Expr})
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if at := [2]int{x, y}; cells[at] != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q, or beyond the edge", p.Title, cells[at])
				} else {
					cells[at] = p.Title
				}
			}
		}
	}
	return exprs
}

func TestBoard_AsksForWhatIsExported(t *testing.T) {
	exported := gather(t)
	asked := map[string]bool{}
	for _, e := range board(t) {
		if err := check(e[1], exported); err != nil {
			t.Errorf("%s: %v", e[0], err)
		}
		q, _ := parse(e[1])
		for _, m := range q.metrics {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				m = strings.TrimSuffix(m, suffix)
			}
			asked[m] = true
		}
	}
	var unused []string
	for name := range exported {
		if !asked[name] {
			unused = append(unused, name)
		}
	}
	slices.Sort(unused)
	if diff := cmp.Diff([]string(nil), unused); diff != "" {
		t.Errorf("exported, and on no panel:\n%s", diff)
	}
}
