package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dulyhq/duly/target"
)

// decode reads JSON into a struct more strictly than encoding/json does: a field that the struct does not have, in just these letters,
// is refused at any depth, as is one that is given twice, and every error says where it is. Null leaves a field alone. It returns the
// names of the outermost fields that were given.
func decode(b []byte, into any) (given []string, err error) {
	if !utf8.Valid(b) {
		return nil, wrong("body", "not UTF-8", "JSON in UTF-8")
	}
	if !json.Valid(b) {
		return nil, syntax(b)
	}
	if a, ok := into.(asker); ok {
		into = a.asked()
	}
	return object(b, reflect.ValueOf(into).Elem(), "")
}

// An asker is a request in which a length and an instant may be as people write them. What it is read into keeps their texts for when the
// instant and the zone are known that they are seen from; its other fields are the request's own.
type asker interface{ asked() any }

// A timeText is the text of a length or an instant, which is read with the schedule.
type timeText string

// UnmarshalJSON takes text, and refuses everything else.
func (t *timeText) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '"' {
		return &target.Error{Field: "text", Value: shown(b), Want: `text in quotation marks, as "90s", "3 days" or "tomorrow 17:00"`}
	}
	return json.Unmarshal(b, (*string)(t))
}

// askedSpec is how a Spec is read.
type askedSpec struct {
	*Spec

	In *timeText `json:"in,omitempty"`
	At *timeText `json:"at,omitempty"`
}

func (s *Spec) asked() any { return &askedSpec{Spec: s, In: &s.said.in, At: &s.said.at} }

// askedChange is how a Change is read.
type askedChange struct {
	*Change

	In *timeText `json:"in,omitempty"`
	At *timeText `json:"at,omitempty"`
}

func (ch *Change) asked() any { return &askedChange{Change: ch, In: &ch.said.in, At: &ch.said.at} }

// said are the texts of a length and of an instant as they came.
type said struct{ in, at timeText }

// syntax says what is wrong with what is no JSON.
func syntax(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return wrong("body", "empty", "a JSON object")
	}
	var v json.RawMessage
	err := json.Unmarshal(b, &v)
	value := "no JSON"
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		value = "no JSON at byte " + strconv.FormatInt(at.Offset, 10) + " (" + at.Error() + ")"
	}
	return wrong("body", value, "a JSON object")
}

// object reads an object into a struct.
func object(raw []byte, v reflect.Value, path string) (given []string, err error) {
	where := path
	if where == "" {
		where = "body"
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, wrong(where, shown(raw), "a JSON object")
	}
	fields := fieldsOf(v.Type())
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, wrong(where, "no JSON", "a JSON object") // Valid has seen it, so this is never reached
		}
		name, _ := key.(string)
		index, ok := fields[name]
		switch {
		case !ok:
			return nil, wrong(join(path, name), "not a field", known(fields, name))
		case slices.Contains(given, name):
			return nil, wrong(join(path, name), "there twice", "it once")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, wrong(join(path, name), "no JSON", "a JSON value")
		}
		f := v.FieldByIndex(index)
		if string(value) == "null" && f.Type() != rawType {
			continue
		}
		given = append(given, name)
		if err := member(value, f, join(path, name)); err != nil {
			return nil, err
		}
	}
	return given, nil
}

var (
	rawType         = reflect.TypeFor[json.RawMessage]()
	timeType        = reflect.TypeFor[time.Time]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// member reads the value of a field.
func member(raw []byte, v reflect.Value, path string) error {
	switch {
	case v.Type() == rawType:
		v.SetBytes(raw)
		return nil
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return member(raw, v.Elem(), path)
	case v.Kind() == reflect.Struct && !v.Addr().Type().Implements(unmarshalerType):
		_, err := object(raw, v, path)
		return err
	}
	if half(raw) {
		return wrong(path, shown(raw), "whole characters: half of a surrogate pair is none")
	}
	err := json.Unmarshal(raw, v.Addr().Interface())
	if err == nil {
		if v.Kind() == reflect.Map {
			return once(raw, path)
		}
		return nil
	}
	if t, ok := errors.AsType[*target.Error](err); ok {
		return wrong(path, shown(raw), t.Want)
	}
	return wrong(path, shown(raw), wanted(v.Type()))
}

// half says whether valid JSON has half of a surrogate pair in it. That is no character: json.Unmarshal puts another one in its place, so
// that what was asked for would be something else, and two names the same.
func half(raw []byte) bool {
	unit := func(b []byte) rune {
		n, _ := strconv.ParseUint(string(b[:4]), 16, 16) // it is valid
		return rune(n)
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' {
			continue
		}
		first := unit(raw[i+1:])
		i += 4
		if !utf16.IsSurrogate(first) {
			continue
		}
		rest, ok := bytes.CutPrefix(raw[i+1:], []byte(`\u`))
		if !ok || utf16.DecodeRune(first, unit(rest)) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// once refuses an object that has a name twice: which of the two values counts is not for us to choose.
func once(raw []byte, path string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return wrong(path, shown(raw), "a JSON object") // Unmarshal has read it, so this is never reached
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return wrong(path, shown(raw), "a JSON object") // as before
		}
		name, _ := key.(string)
		if seen[name] {
			return wrong(join(path, name), "there twice", "it once")
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return wrong(join(path, name), shown(raw), "a JSON value") // as before
		}
	}
	return nil
}

// wanted says what the JSON of a type is.
func wanted(t reflect.Type) string {
	if t == timeType {
		return `an instant of RFC 3339, as "2026-12-24T17:00:00Z"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number of " + strconv.Itoa(t.Bits()) + " bits"
	case reflect.Slice:
		return "an array, of each " + wanted(t.Elem())
	case reflect.Map:
		return "an object, of each " + wanted(t.Elem())
	default:
		return "another type"
	}
}

// fieldsBy are the answers of fieldsOf: there are few types.
var fieldsBy sync.Map

// fieldsOf returns the fields of a struct by their names in JSON.
func fieldsOf(t reflect.Type) map[string][]int {
	if all, ok := fieldsBy.Load(t); ok {
		return all.(map[string][]int)
	}
	all := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			all[name] = f.Index
		}
	}
	fieldsBy.Store(t, all)
	return all
}

// known says which fields there are: the one that is most like what was given, if one is, else all.
func known(fields map[string][]int, name string) string {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
	}
	names := make([]string, 0, len(fields))
	for f := range fields {
		if plain(f) == plain(name) {
			return f
		}
		names = append(names, f)
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return "one of " + strings.Join(names, ", ")
}

func join(path, name string) string {
	const most = 60
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	if name == "" {
		name = `""`
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		name = strings.Trim(strconv.Quote(name), `"`) // it is shown, and was chosen by whoever asks
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// shown is a JSON value in an error, shortened, on one line.
func shown(raw []byte) string {
	const most = 60
	more := ""
	if len(raw) > most {
		raw, more = raw[:most], "..."
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(raw), "")) + more
}
