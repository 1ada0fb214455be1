package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

type dict = map[string]any

// A document is /openapi.json, as a program that knows nothing of package api reads it.
type document struct{ dict }

func documentOf(t testing.TB, e *env) document {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(e.raw("GET", "/openapi.json", "", "Host: localhost").body), &d.dict); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows keys into the document, nil where they lead nowhere.
func (d document) at(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(dict)
		if ref, ok := m["$ref"].(string); ok {
			m, _ = d.at(d.dict, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(dict)
		}
		v = m[k]
	}
	return v
}

// operation returns what the document says of a request.
func (d document) operation(method, escaped string) (string, dict) {
	paths, _ := d.dict["paths"].(dict)
	for path, item := range paths {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\{name\}`, "[^/]+") + "$"
		if op, ok := d.at(item, strings.ToLower(method)).(dict); ok && regexp.MustCompile(pattern).MatchString(escaped) {
			return path, op
		}
	}
	return "", nil
}

var instantText = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// wrong says what in a value is not as its schema says, in JSON Schema's way as far as the document uses it. Beside that, nothing may
// be there that the schema does not name: the document is to be complete.
func (d document) wrong(schema, v any, path string) (found []string) {
	fail := func(format string, args ...any) { found = append(found, path+": "+fmt.Sprintf(format, args...)) }
	m, _ := schema.(dict)
	if ref, ok := m["$ref"].(string); ok {
		return d.wrong(d.at(d.dict, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), v, path)
	}
	if words, ok := m["enum"].([]any); ok && !slices.Contains(words, v) {
		fail("%v is none of %v", v, words)
	}
	switch m["type"] {
	case "object":
		o, ok := v.(dict)
		if !ok {
			fail("%v is no object", v)
		}
		properties, _ := m["properties"].(dict)
		each, free := m["additionalProperties"].(dict)
		for k, x := range o {
			switch p, ok := properties[k]; {
			case ok:
				found = append(found, d.wrong(p, x, path+"."+k)...)
			case free:
				found = append(found, d.wrong(each, x, path+"."+k)...)
			case properties != nil:
				fail("has %s, which the schema does not", k)
			}
		}
		required, _ := m["required"].([]any)
		for _, k := range required {
			if _, ok := o[k.(string)]; !ok {
				fail("lacks %v", k)
			}
		}
	case "array":
		a, ok := v.([]any)
		if !ok {
			fail("%v is no array", v)
		}
		for i, x := range a {
			found = append(found, d.wrong(m["items"], x, path+"["+strconv.Itoa(i)+"]")...)
		}
	case "string":
		if s, ok := v.(string); !ok || m["format"] == "date-time" && !instantText.MatchString(s) {
			fail("%v is no string of format %v", v, m["format"])
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			fail("%v is no whole number", v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			fail("%v is no boolean", v)
		}
	case nil: // anything
	default:
		fail("the schema has the type %v", m["type"])
	}
	return found
}

// documented holds an answer to the document.
func (a *answer) documented(d document, method, escaped string) {
	a.Helper()
	path, op := d.operation(method, escaped)
	form, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	response := d.at(op, "responses", strconv.Itoa(a.status))
	if form == "application/problem+json" {
		if response = d.at(op, "responses", "default"); op == nil { // no such address
			response = d.at(d.dict, "paths", "/v1/tasks", "get", "responses", "default")
		}
	}
	schema := d.at(response, "content", form, "schema")
	switch {
	case response == nil:
		a.Errorf("%s: the document has no status %d for %s %s", a.what, a.status, method, path)
		return
	case schema == nil && a.body != "":
		a.Errorf("%s: the document has no %s for %s %s", a.what, form, method, path)
		return
	}
	var lines []string
	switch form {
	case "application/json", "application/problem+json":
		lines = []string{a.body}
	case "application/x-ndjson":
		lines = strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
	}
	for _, line := range lines {
		var v any
		if err := json.Unmarshal([]byte(line), &v); line != "" && err != nil {
			a.Errorf("%s: %v in %s", a.what, err, line)
		}
		for _, w := range d.wrong(schema, v, "$") {
			if line != "" {
				a.Errorf("%s: not as documented: %s", a.what, w)
			}
		}
	}
}

// Every address that there is says which methods it takes, and the document has exactly these.
func TestOpenAPI_HasTheRoutes(t *testing.T) {
	bubble(t, api.Options{Version: "1.2.3", Prefix: "/duly"}, func(t *testing.T, e *env) {
		var doc document
		if err := json.Unmarshal([]byte(e.raw("GET", "/duly/openapi.json", "").want(http.StatusOK).body), &doc.dict); err != nil {
			t.Fatal(err)
		}
		is(t, "openapi", doc.dict["openapi"], any("3.1.0"))
		is(t, "version", doc.at(doc.dict, "info", "version"), any("1.2.3"))
		is(t, "server", doc.dict["servers"].([]any)[0], any(dict{"url": "/duly"}))
		paths, _ := doc.dict["paths"].(dict)
		if len(paths) < 20 {
			t.Errorf("%d paths", len(paths))
		}
		ids := map[string]bool{}
		for path, item := range paths {
			address := "/duly" + strings.ReplaceAll(path, "{name}", "x")
			a := e.raw("BREW", address, "").want(http.StatusMethodNotAllowed)
			methods := strings.Split(a.header.Get("Allow"), ", ")
			slices.Sort(methods)
			var documented []string
			for m, op := range item.(dict) {
				documented = append(documented, strings.ToUpper(m))
				id, _ := doc.at(op, "operationId").(string)
				if ids[id] || id == "" {
					t.Errorf("%s %s: operationId %q is there twice", m, path, id)
				}
				ids[id] = true
			}
			slices.Sort(documented)
			is(t, "methods of "+path, documented, methods)
		}
	})
}

// What the document says of parameters is what is taken: each of them, and no other.
func TestOpenAPI_HasTheParameters(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		doc := documentOf(t, e)
		values := map[string]string{"integer": "1", "boolean": "true"}
		for path, item := range doc.dict["paths"].(dict) {
			for method, op := range item.(dict) {
				if path == "/v1/events" || path == "/metrics" {
					continue // one does not end, the other is somebody else's
				}
				address := strings.ReplaceAll(path, "{name}", "x")
				e.raw(strings.ToUpper(method), address+"?no_such=1", "").problem("invalid", "no_such")
				params, _ := doc.at(op, "parameters").([]any)
				for _, p := range params {
					if doc.at(p, "in") != "query" {
						continue
					}
					name, _ := doc.at(p, "name").(string)
					kind, _ := doc.at(p, "schema", "type").(string)
					value := values[kind]
					if doc.at(p, "schema", "format") == "date-time" {
						value = "2030-01-01T00:00:00Z"
					}
					a := e.raw(strings.ToUpper(method), address+"?"+name+"="+value, "")
					if strings.Contains(a.body, "not a parameter") {
						t.Errorf("%s %s: %s is documented and refused", method, path, name)
					}
					if kind != "string" || doc.at(p, "schema", "format") != nil {
						e.raw(strings.ToUpper(method), address+"?"+name+"=x", "").problem("invalid", name)
					}
				}
			}
		}
	})
}

// The fields of a schema are those that a Go value of its type is written with, and read from.
func TestOpenAPI_HasTheTypes(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		doc := documentOf(t, e)
		schemas, _ := doc.at(doc.dict, "components", "schemas").(dict)
		types := []any{
			api.Spec{},
			api.Task{},
			api.Run{},
			api.Entry{},
			api.Change{},
			api.Cancelled{},
			api.Selection{},
			api.Pause{},
			api.Count{},
			api.TaskPage{},
			api.Event{},
			api.EventPage{},
			api.Why{},
			api.Occurrence{},
			api.Preview{},
			api.Fire{},
			api.Simulation{},
			api.Attempt{},
			api.AttemptPage{},
			api.Chunk{},
			api.Stats{},
			api.KindStats{},
			api.StoreState{},
			api.NodeState{},
			api.Health{},
			api.HealthProblem{},
			api.Problem{},
			api.Policy{},
			target.Command{},
			target.Callback{},
		}
		var names []string
		for _, v := range types {
			ty := reflect.TypeOf(v)
			names = append(names, ty.Name())
			full := reflect.New(ty).Elem()
			fill(full)
			b, err := json.Marshal(full.Interface())
			if err != nil {
				t.Fatal(err)
			}
			var written dict
			if err := json.Unmarshal(b, &written); err != nil {
				t.Fatal(err)
			}
			properties, _ := doc.at(schemas, ty.Name(), "properties").(dict)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(properties))); diff != "" {
				t.Errorf("%s (-written +documented):\n%s", ty.Name(), diff)
			}
			if w := doc.wrong(schemas[ty.Name()], any(written), "$"); len(w) > 0 && !strings.Contains(w[0], "is none of") {
				t.Errorf("%s: %q", ty.Name(), w)
			}
			empty, err := json.Marshal(reflect.Zero(ty).Interface())
			if err != nil {
				t.Fatal(err)
			}
			var least dict
			if err := json.Unmarshal(empty, &least); err != nil {
				t.Fatal(err)
			}
			required, _ := doc.at(schemas, ty.Name(), "required").([]any)
			var always []string
			for _, r := range required {
				always = append(always, r.(string))
			}
			slices.Sort(always)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(least)), always); diff != "" {
				t.Errorf("%s (-always written +required):\n%s", ty.Name(), diff)
			}
		}
		slices.Sort(names)
		names = slices.DeleteFunc(names, func(n string) bool { return schemas[n] == nil && n == "Policy" }) // only within others
		if diff := cmp.Diff(names, slices.Sorted(maps.Keys(schemas))); diff != "" {
			t.Errorf("schemas (-types +documented):\n%s", diff)
		}
	})
}

// fill sets everything in a value to something that is not zero.
func fill(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte("1"))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case v.Kind() == reflect.Struct:
		for field, f := range v.Fields() {
			if !field.IsExported() {
				continue // it is not on the wire
			}
			fill(f)
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case v.Kind() == reflect.Map:
		x := reflect.New(v.Type().Elem()).Elem()
		fill(x)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), x)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.CanInt():
		v.SetInt(7)
	case v.CanUint():
		v.SetUint(7)
	}
}

// The examples of the document and of docs/http-api.md are as their schemas say, and are taken.
func TestOpenAPI_Examples(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		doc := documentOf(t, e)
		examples := 0
		for path, item := range doc.dict["paths"].(dict) {
			for method, op := range item.(dict) {
				content := doc.at(op, "requestBody", "content", "application/json")
				example := doc.at(content, "example")
				if example == nil {
					continue
				}
				examples++
				if w := doc.wrong(doc.at(content, "schema"), example, "$"); len(w) > 0 {
					t.Errorf("%s %s: %q", method, path, w)
				}
				b, err := json.Marshal(example)
				if err != nil {
					t.Fatal(err)
				}
				a := e.do(strings.ToUpper(method), strings.ReplaceAll(path, "{name}", "x"), string(b))
				if a.status >= 300 && !strings.Contains(a.body, `"not-found"`) {
					t.Errorf("%s %s: the example is refused: %s", method, path, a.body)
				}
			}
		}
		if examples < 3 {
			t.Errorf("%d examples", examples)
		}
	})
}

func TestOpenAPI_GuideShowsWhatIsThere(t *testing.T) {
	guide, err := os.ReadFile("../docs/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, all, func(t *testing.T, e *env) {
		doc := documentOf(t, e)
		for path, item := range doc.dict["paths"].(dict) {
			for method := range item.(dict) {
				if line := strings.ToUpper(method) + " " + path; !strings.Contains(string(guide), "`"+line+"`") {
					t.Errorf("docs/http-api.md lacks %s", line)
				}
			}
		}
		for _, m := range regexp.MustCompile("`([A-Z]+) (/[^` ]*)`").FindAllStringSubmatch(string(guide), -1) {
			if _, op := doc.operation(m[1], strings.ReplaceAll(m[2], "{name}", "x")); op == nil {
				t.Errorf("docs/http-api.md tells of %s %s, which is not there", m[1], m[2])
			}
		}
	})
}
