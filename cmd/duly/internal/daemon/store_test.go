package daemon

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/database"
	"github.com/dulyhq/duly/store/postgres"
)

const withPassword = "postgres://ada:hunter22@db.example.com/duly"

// Where tasks are is said by a flag, a variable or the file, in this order, and no error and no report shows a password.
func TestLoad_Store(t *testing.T) {
	for _, tt := range []struct {
		yaml  string
		given []string
		shows string
		where string
	}{
		{"", nil, "directory", "default"},
		{"", []string{"DULY_STORE=" + withPassword}, "postgres://ada@db.example.com/duly", "DULY_STORE"},
		{"store: " + withPassword, nil, "postgres://ada@db.example.com/duly", "duly.yaml:1: store"},
		{"store: postgres://file/d", []string{"DULY_STORE=postgres://variable/d"}, "postgres://variable/d", "DULY_STORE"},
		{"store: postgres://file/d", []string{"DULY_STORE=postgres://variable/d", "store=postgres://flag/d"}, "postgres://flag/d", "--store"},
		{"store: postgres://file/d", []string{"store=directory"}, "directory", "--store"},
		{"store: postgres://file/d\nschema: tasks\npooler: true", nil, "postgres://file/d", "duly.yaml:1: store"},
	} {
		c, err := Load(given(t, tt.yaml, tt.given...))
		if err != nil {
			t.Errorf("%q %q: %v", tt.yaml, tt.given, err)
			continue
		}
		report := c.Report()
		_, line, _ := strings.Cut(report, "\nstore")
		line, _, _ = strings.Cut(line, "\n")
		line = "store " + strings.Join(strings.Fields(line), " ")
		if !strings.HasPrefix(line, "store "+tt.shows+" ") || !strings.HasSuffix(line, tt.where) || strings.Contains(report, "hunter22") {
			t.Errorf("%q %q: the report says %q, want %s and %s:\n%s", tt.yaml, tt.given, line, tt.shows, tt.where, report)
		}
		if c.Store.None() != (tt.shows == "directory") || strings.Contains(tt.yaml, "pooler") && (c.schema() != "tasks" || !c.Pooler) {
			t.Errorf("%q %q: %v, schema %s, pooler %v", tt.yaml, tt.given, c.Store, c.schema(), c.Pooler)
		}
	}
	for _, tt := range []struct {
		yaml  string
		given []string
		want  string
	}{
		{"", []string{"store=mysql://ada:hunter22@h/d"}, "--store: want a URL such as postgres://user@host/database, or directory"},
		{"store: mysql://ada:hunter22@h/d", nil, "duly.yaml:1: store: want a URL"},
		{"store: mysql://ada:hunter22@h/d", []string{"store=directory"}, "duly.yaml:1: store: want a URL"},
		{"store: [a, b]", nil, "one value"},
		{"", []string{"schema=tasks"}, "--schema: want also --store"},
		{"", []string{"DULY_POOLER=true"}, "DULY_POOLER: want also --store"},
		{"", []string{"store=" + withPassword, "schema=Tasks"}, `--schema "Tasks": want small letters`},
		{"min_free: 1GiB", []string{"store=" + withPassword}, "min_free: want none beside --store: the server sees to its own disk"},
		{"", []string{"DULY_STORE=" + withPassword, "durability=memory"}, "--durability: want none beside DULY_STORE: "},
	} {
		_, err := Load(given(t, tt.yaml, tt.given...))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%q %q: %v, want %s", tt.yaml, tt.given, err, tt.want)
		}
	}
}

// A file with a password in it has to be its owner's alone.
func TestLoad_StoreInAnOpenFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file is not its access list")
	}
	g := given(t, "store: "+withPassword)
	if err := os.Chmod(g.Config, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(g)
	if err == nil || !strings.Contains(err.Error(), "duly.yaml:1: store has a password") || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("%v", err)
	}
	g = given(t, "store: postgres://ada@db.example.com/duly")
	if err := os.Chmod(g.Config, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(g); err != nil {
		t.Errorf("without a password: %v", err)
	}
}

// What a database has that this program can't work on is said with what to do.
func TestUnfit(t *testing.T) {
	a, _ := database.Parse(withPassword)
	for _, tt := range []struct {
		found  postgres.Schema
		schema string
		want   string
	}{
		{postgres.Schema{Version: 1, Compatible: 1, Wanted: 2}, "duly", "schema duly is of version 1, and this program works on 2: duly migrate up --store postgres://ada@db.example.com/duly"},
		{postgres.Schema{Version: 1, Compatible: 1, Wanted: 2}, "tasks", "schema tasks is of version 1, and this program works on 2: duly migrate up --schema tasks --store postgres://ada@db.example.com/duly"},
		{postgres.Schema{Version: 9, Compatible: 8, Wanted: 2}, "duly", "schema duly is of version 9, and this program works on 2: take a newer version of duly"},
	} {
		if got := Unfit(tt.found, a, tt.schema); got != tt.want || tt.found.Fits() {
			t.Errorf("%+v: %s, want %s", tt.found, got, tt.want)
		}
	}
}

// What doctor says of a daemon that shares a database.
func TestExamine_Shared(t *testing.T) {
	node := func(name, state string, shards int) api.NodeState {
		return api.NodeState{Node: name, State: state, Shards: shards}
	}
	for _, tt := range []struct {
		state api.StoreState
		nodes Verdict
		clock Verdict
		text  string
	}{
		{api.StoreState{Connected: true, Shards: 128, Nodes: []api.NodeState{node("a", "live", 128), node("b", "live", 128)}}, Fine, Fine, "128 of 256 shards; 2 of 2 live"},
		{api.StoreState{Connected: true, Shards: 256, Nodes: []api.NodeState{node("a", "live", 256), node("b", "gone", 0)}}, Fine, Fine, "256 of 256 shards; 1 of 2 live"},
		{api.StoreState{Connected: true, Nodes: []api.NodeState{node("a", "live", 0)}}, Warn, Fine, "0 of 256 shards"},
		{api.StoreState{Shards: 128}, Warn, Fine, "no connection"},
		{api.StoreState{Connected: true, StandsDown: "the clock is off", ClockOffset: api.Duration(-2 * time.Second)}, Warn, Warn, "stands down and starts nothing: the clock is off"},
		{api.StoreState{Connected: true, Shards: 1, ClockOffset: api.Duration(1001 * time.Millisecond)}, Fine, Warn, "1 of 256"},
	} {
		n, c := nodes(&tt.state), serverClock(&tt.state)
		if n.Verdict != tt.nodes || c.Verdict != tt.clock || !strings.Contains(n.Text, tt.text) {
			t.Errorf("%+v: %+v, %+v; want %s and %s, %q", tt.state, n, c, tt.nodes, tt.clock, tt.text)
		}
		for _, check := range []Check{n, c} {
			if (check.Verdict == Fine) != (check.Hint == "") {
				t.Errorf("%+v", check)
			}
		}
		if behind := tt.state.ClockOffset < 0; behind != strings.Contains(c.Text, "2s behind the database's") {
			t.Errorf("%v: %s", tt.state.ClockOffset, c.Text)
		}
	}
}
