package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/transfer"
	"github.com/dulyhq/duly/target"
)

func document(t *testing.T, name string) (path, text string) {
	t.Helper()
	path = filepath.Join("..", "..", "..", "..", "docs", name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.ReplaceAll(string(b), "\r\n", "\n")
}

// TestDocs_JSON holds docs/cli-json.md to the wire types: each has a section with a table that names each key, in its order, with its
// type, and whether it can be absent.
func TestDocs_JSON(t *testing.T) {
	_, text := document(t, "cli-json.md")
	for _, v := range []any{
		api.Task{},
		api.Run{},
		api.Policy{},
		target.Command{},
		target.Callback{},
		api.Entry{},
		api.Problem{},
		api.Cancelled{},
		api.Count{},
		api.Event{},
		api.Why{},
		api.Attempt{},
		api.Chunk{},
		api.Stats{},
		api.HealthProblem{},
		api.StoreState{},
		api.NodeState{},
		api.KindStats{},
		daemon.Check{},
		SchemaState{},
		Migration{},
		transfer.Line{},
		transfer.Retry{},
		transfer.Tally{},
		CrontabFinding{},
		CrontabLine{},
	} {
		typ := reflect.TypeOf(v)
		_, section, ok := strings.Cut(text, "\n### "+typ.Name()+"\n")
		if !ok {
			t.Errorf("docs/cli-json.md has no section %q", "### "+typ.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		var got []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([^|]+) \\| [^| ]").FindAllStringSubmatch(section, -1) {
			got = append(got, row[1]+": "+row[2])
		}
		if diff := cmp.Diff(keys(typ), got); diff != "" {
			t.Errorf("docs/cli-json.md on %s (-wire +document):\n%s", typ.Name(), diff)
		}
	}
}

// keys are the keys of a wire type, each with its type as the document has it.
func keys(typ reflect.Type) []string {
	var list []string
	for f := range typ.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			list = append(list, keys(f.Type)...)
			continue
		}
		word := wireWord(f.Type)
		if strings.Contains(options, "omit") {
			word += "?"
		}
		list = append(list, name+": "+word)
	}
	return list
}

// wireWord is a type as the document has it.
func wireWord(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[time.Time]():
		return "instant"
	case reflect.TypeFor[api.Duration]():
		return "duration"
	case reflect.TypeFor[[]byte]():
		return "string"
	}
	if typ.String() == "json.RawMessage" {
		return "any"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return wireWord(typ.Elem())
	case reflect.Slice:
		return "array of " + wireWord(typ.Elem())
	case reflect.Map:
		return "object of " + wireWord(typ.Elem())
	case reflect.Struct:
		return "[" + typ.Name() + "](#" + strings.ToLower(typ.Name()) + ")"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	default:
		return "number"
	}
}
