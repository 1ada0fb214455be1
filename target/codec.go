package target

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// CallbackCodec is the JSON that callbacks are kept as, for [duly.WithCodec]. What it makes of bytes is what encoding/json does, only
// sooner where they are as that has written them.
type CallbackCodec struct{}

// Encode implements duly.Codec.
func (CallbackCodec) Encode(c Callback) ([]byte, error) { return json.Marshal(c) }

// Decode implements duly.Codec.
func (CallbackCodec) Decode(b []byte) (Callback, error) {
	if utf8.Valid(b) {
		t := plain(b)
		if c, ok := t.callback(); ok && t == "" {
			return c, nil
		}
	}
	var c Callback
	err := json.Unmarshal(b, &c)
	return c, err
}

// A plain is JSON of which something is left to read. Its methods read the plain forms alone; after ok is false it is encoding/json that
// has to say what the whole means.
type plain string

// skip reads what is known to come.
func (t *plain) skip(what string) (ok bool) {
	rest, ok := strings.CutPrefix(string(*t), what)
	*t = plain(rest)
	return ok
}

func (t *plain) callback() (c Callback, ok bool) {
	whole := t.object(func(key string) bool {
		switch key {
		case "url":
			c.URL, ok = t.string()
		case "method":
			c.Method, ok = t.string()
		case "body":
			c.Body, ok = t.string()
		case "header":
			ok = c.Header == nil
			c.Header = map[string]string{}
			ok = ok && t.object(func(name string) (ok bool) {
				c.Header[name], ok = t.string()
				return ok
			})
		default:
			return false
		}
		return ok
	})
	return c, whole
}

// object reads an object, each value by a function that is told its key.
func (t *plain) object(value func(key string) bool) bool {
	if !t.skip("{") {
		return false
	}
	for {
		key, ok := t.string()
		if !ok || !t.skip(":") || !value(key) {
			return false
		}
		if !t.skip(",") {
			return t.skip("}")
		}
	}
}

// string reads a string.
func (t *plain) string() (string, bool) {
	if !t.skip(`"`) {
		return "", false
	}
	s := string(*t)
	var done []byte // what came before s, where something was escaped
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ':
			return "", false
		case c == '"':
			*t = plain(s[i+1:])
			if done == nil {
				return s[:i], true
			}
			return string(append(done, s[:i]...)), true
		case c == '\\':
			if i+1 == len(s) {
				return "", false
			}
			at := strings.IndexByte(`"\/bfnrt`, s[i+1])
			if at < 0 {
				return "", false
			}
			done = append(append(done, s[:i]...), "\"\\/\b\f\n\r\t"[at])
			s, i = s[i+2:], -1
		}
	}
	return "", false
}
