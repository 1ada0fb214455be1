package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/target"
)

// openapi answers GET /openapi.json.
func (c *call) openapi() error { return c.json(http.StatusOK, c.document()) }

// An entry of the document, or a part of one.
type dict = map[string]any

// document is the table of routes as OpenAPI 3.1.
func (h *Handler) document() dict {
	d := schemas{all: dict{}}
	paths := dict{}
	for _, rt := range h.routes {
		at, _ := paths[rt.path].(dict)
		if at == nil {
			at = dict{}
			paths[rt.path] = at
		}
		at[strings.ToLower(rt.method)] = d.operation(rt)
	}
	server := h.o.Prefix
	if server == "" {
		server = "/"
	}
	version := h.o.Version
	if version == "" {
		version = "unknown"
	}
	d.of(reflect.TypeFor[Problem]())
	return dict{
		"openapi": "3.1.0",
		"info": dict{
			"title": "duly", "version": version,
			"description": "Tasks that run later, by name. docs/http-api.md tells the same with examples, docs/problems.md what can go wrong.",
		},
		"servers":    []dict{{"url": server}},
		"paths":      paths,
		"components": dict{"schemas": d.all, "securitySchemes": dict{"bearer": dict{"type": "http", "scheme": "bearer"}}},
	}
}

// operation describes a route.
func (d *schemas) operation(rt *route) dict {
	op := dict{"operationId": rt.id(), "summary": rt.what, "parameters": rt.parameterList(), "responses": d.responses(rt)}
	if rt.need != "" {
		op["security"] = []dict{{"bearer": []string{}}}
		op["x-scope"] = rt.need
	}
	if rt.body != nil {
		media := rt.media
		if media == "" {
			media = "application/json"
		}
		content := dict{"schema": d.of(reflect.TypeOf(rt.body).Elem())}
		if rt.example != "" {
			content["example"] = json.RawMessage(rt.example)
		}
		op["requestBody"] = dict{"required": reflect.TypeOf(rt.body) != reflect.TypeFor[*Pause](), "content": dict{media: content}}
	}
	return op
}

// id is the operation's name: its method and the words of its path.
func (rt *route) id() string {
	var id strings.Builder
	id.WriteString(strings.ToLower(rt.method))
	for _, w := range strings.FieldsFunc(strings.TrimPrefix(rt.path, "/v1"), func(r rune) bool { return strings.ContainsRune("/{}:.", r) }) {
		id.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return id.String()
}

func (rt *route) parameterList() []dict {
	all := []dict{}
	for _, s := range rt.segments {
		if s == "{name}" {
			all = append(all, dict{
				"name": "name", "in": "path", "required": true, "schema": dict{"type": "string", "minLength": 1},
				"description": "the task's name, percent-encoded, / as %2F",
			})
		}
	}
	for _, p := range rt.params {
		all = append(all, dict{"name": p.name, "in": "query", "description": p.what, "schema": p.schema()})
	}
	header := func(name, what string) {
		all = append(all, dict{"name": name, "in": "header", "description": what, "schema": dict{"type": "string"}})
	}
	if rt.conditional {
		header("If-Match", "the ETag of the task that is to be there")
	}
	if rt.conditional && rt.method == http.MethodPut {
		header("If-None-Match", "*: the name is to be free")
	}
	if rt.form == "text/event-stream" {
		header("Last-Event-ID", "the seq of the last entry that was seen")
	}
	return all
}

func (p param) schema() dict {
	switch p.kind {
	case number:
		return dict{"type": "integer", "format": "int32", "minimum": 0}
	case integer:
		return dict{"type": "integer", "format": "int64", "minimum": 0}
	case boolean:
		return dict{"type": "boolean"}
	case instant:
		return dict{"type": "string", "format": "date-time"}
	case text:
	}
	return dict{"type": "string"}
}

func (d *schemas) responses(rt *route) dict {
	all := dict{"default": dict{
		"description": "a problem, which docs/problems.md describes",
		"content":     dict{"application/problem+json": dict{"schema": d.of(reflect.TypeFor[Problem]())}},
	}}
	status := rt.status
	if status == nil {
		status = []int{http.StatusOK}
	}
	form := rt.form
	if form == "" {
		form = "application/json"
	}
	for _, code := range status {
		a := dict{"description": http.StatusText(code)}
		switch {
		case rt.answer != nil:
			a["content"] = dict{form: dict{"schema": d.of(reflect.TypeOf(rt.answer))}}
		case rt.form != "":
			a["content"] = dict{form: dict{"schema": dict{"type": "string"}}}
		}
		all[strconv.Itoa(code)] = a
	}
	return all
}

// schemas are the types that the document names.
type schemas struct{ all dict }

// asked are the types that requests are made of: they have no other fields. Those of answers may get more.
var asked = map[reflect.Type]bool{
	reflect.TypeFor[Spec](): true, reflect.TypeFor[Change](): true, reflect.TypeFor[Selection](): true, reflect.TypeFor[Pause](): true,
	reflect.TypeFor[target.Command](): true, reflect.TypeFor[target.Callback](): true,
}

// of returns the schema of a type, which is how its values are written.
func (d *schemas) of(t reflect.Type) dict {
	switch t {
	case timeType:
		return dict{"type": "string", "format": "date-time"}
	case rawType:
		return dict{}
	case reflect.TypeFor[target.Duration]():
		return dict{"type": "string", "description": "as 1m30s, or PT1M30S", "examples": []string{"1m30s", "PT1M30S"}}
	case reflect.TypeFor[[]byte]():
		return dict{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.of(t.Elem())
	case reflect.Bool:
		return dict{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return dict{"type": "integer", "format": "int64"}
	case reflect.String:
		return dict{"type": "string"}
	case reflect.Slice:
		return dict{"type": "array", "items": d.of(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return dict{"type": "object"}
		}
		return dict{"type": "object", "additionalProperties": d.of(t.Elem())}
	default: // a struct: the wire has nothing else
		return d.object(t)
	}
}

// object returns a reference to a struct.
func (d *schemas) object(t reflect.Type) dict {
	ref := dict{"$ref": "#/components/schemas/" + t.Name()}
	if d.all[t.Name()] != nil {
		return ref
	}
	s := dict{"type": "object"}
	d.all[t.Name()] = s
	properties, required := dict{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // embedded: its own fields are among them
		}
		p := d.of(f.Type)
		if asText := texts[t.Name()+"."+name]; asText != nil {
			p = asText()
		}
		if words := words[t.Name()+"."+name]; words != nil {
			p["enum"] = words
		}
		properties[name] = p
		if rest == "" {
			required = append(required, name)
		}
	}
	s["properties"] = properties
	if len(required) > 0 {
		s["required"] = required
	}
	if asked[t] {
		s["additionalProperties"] = false
	}
	return ref
}

// texts are the schemas of what is written in more ways than it is answered in.
var texts = map[string]func() dict{"Spec.in": lengthText, "Spec.at": instantText, "Change.in": lengthText, "Change.at": instantText}

func lengthText() dict {
	return dict{"type": "string", "description": "a length of time", "examples": []string{"1m30s", "PT1M30S", "3 days"}}
}

func instantText() dict {
	return dict{
		"type": "string", "description": "an instant; as seen from now and, where it says no other, in the zone, else in UTC",
		"examples": []string{"2026-12-24T17:00:00Z", "tomorrow 17:00", "2026-12-24 18:00 Europe/Berlin", "now + 3 days"},
	}
}

// words are the values that a field can have.
var words = map[string][]string{
	"Spec.conflict":     {"replace", "keep", "fail", "keep-time", "earliest", "debounce"},
	"Task.state":        {"pending", "running", "dead"},
	"Run.state":         {"pending", "running", "dead"},
	"Entry.outcome":     {"created", "replaced", "unchanged", "kept", "already_ran"},
	"Cancelled.outcome": {"cancelled", "running", "finished", "unknown"},
	"Event.from":        states,
	"Event.to":          states,
	"Chunk.stream":      {"stdout", "stderr", "body"},
	"StoreState.kind":   {"directory", "postgres"},
	"NodeState.state":   {"live", "stands_down", "away", "gone"},
	"Problem.slug":      slugs(),
	"Health.status":     {"ok", "degraded"},
}

var states = []string{"none", "pending", "running", "done", "dead", "cancelled", "expired", "skipped"}

func slugs() []string {
	all := make([]string, len(classes))
	for i := range classes {
		all[i] = classes[i].slug
	}
	return all
}
