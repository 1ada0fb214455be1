package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

// mostFile is how long a file of settings or secrets may be.
const mostFile = 1 << 20

// A file is a configuration file that was read: its keys are known, their values are as they were written.
type file struct {
	path   string
	values map[string]value
	tokens []Token
}

type value struct {
	texts []string
	line  int
}

// readFile reads a configuration file. The error names the line.
func readFile(path string) (*file, error) {
	b, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	f := &file{path: path, values: map[string]value{}}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // it is empty
			return f, nil
		}
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, f.wrong(max(more.Line, 1), "", "one document, without --- between parts")
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" { // nothing but comments
		return f, nil
	}
	keys := make([]string, 0, len(Settings)+1)
	for i := range Settings {
		keys = append(keys, Settings[i].Key)
	}
	err = f.mapping(top, append(keys, "tokens"), func(key string, v *yaml.Node) error {
		if key == "tokens" {
			return f.readTokens(v)
		}
		texts, err := f.texts(key, v, settingOf(key))
		f.values[key] = value{texts, v.Line}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// check looks at each value alone, also at those that a flag or a variable takes the place of.
func (f *file) check() error {
	if f == nil {
		return nil
	}
	var c Config
	for i := range Settings {
		s := &Settings[i]
		if v, ok := f.values[s.Key]; ok {
			if want := s.set(&c, v.texts); want != "" {
				return &ConfigError{Where: f.where(s.Key), Value: s.value(v.texts), Want: want}
			}
		}
	}
	if c.Store.HasSecret() {
		if _, err := readSecret(f.path); err != nil {
			return fmt.Errorf("%s has a password: %w", f.where("store"), err)
		}
	}
	return nil
}

// where is where a key's value stands.
func (f *file) where(key string) string {
	return fmt.Sprintf("%s:%d: %s", f.path, f.values[key].line, key)
}

func (f *file) wrong(line int, value, want string) *ConfigError {
	return &ConfigError{Where: fmt.Sprintf("%s:%d", f.path, line), Value: value, Want: want}
}

// mapping calls each for the keys of a mapping, which must be among those that are known, and there once.
func (f *file) mapping(n *yaml.Node, known []string, each func(key string, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return f.wrong(n.Line, n.Value, "keys with values, such as listen: 127.0.0.1:4280")
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if first, ok := lines[k.Value]; ok {
			return f.wrong(k.Line, k.Value, fmt.Sprintf("each key once: it is on line %d, too", first))
		}
		lines[k.Value] = k.Line
		if !slices.Contains(known, k.Value) {
			return f.unknown(k, known)
		}
		if v.Kind == yaml.ScalarNode && v.Tag == "!!null" {
			return f.wrong(v.Line, k.Value, "a value after the colon")
		}
		if err := each(k.Value, v); err != nil {
			return err
		}
	}
	return nil
}

// unknown refuses a key that nobody knows, with the one that was probably meant.
func (f *file) unknown(k *yaml.Node, known []string) error {
	e := f.wrong(k.Line, k.Value, "a key that there is: "+strings.Join(known, ", "))
	if k.Value == "data" {
		e.Want, e.Hint = "another key", "the directory is given by --data or DULY_DATA, by which the command line finds it too"
		return e
	}
	if meant, ok := wording.Closest(strings.ReplaceAll(strings.ToLower(k.Value), "-", "_"), known); ok {
		e.Want, e.Hint = "a key that there is", "did you mean "+meant+"?"
	}
	return e
}

// texts are the values of a key, which are written once, or in a list where it is one.
func (f *file) texts(key string, n *yaml.Node, s *Setting) ([]string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	list := s.list
	switch {
	case n.Kind == yaml.ScalarNode:
		return s.split(n.Value), nil
	case n.Kind == yaml.SequenceNode && list && len(n.Content) > 0:
		var texts []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return nil, f.wrong(item.Line, key, "a list of plain values")
			}
			texts = append(texts, item.Value)
		}
		return texts, nil
	case list:
		return nil, f.wrong(n.Line, key, "a value or a list of them")
	}
	return nil, f.wrong(n.Line, key, "one value")
}

// readTokens reads the list of tokens.
func (f *file) readTokens(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return f.wrong(n.Line, "tokens", "a list, of name, scopes, and sha256 or file")
	}
	for _, item := range n.Content {
		t := Token{where: fmt.Sprintf("%s:%d", f.path, item.Line)}
		err := f.mapping(item, []string{"name", "scopes", "sha256", "file"}, func(key string, v *yaml.Node) error {
			texts, err := f.texts(key, v, &Setting{list: key == "scopes"})
			if err != nil {
				return err
			}
			switch key {
			case "name":
				t.Name = texts[0]
			case "sha256":
				t.SHA256 = texts[0]
			case "file":
				if t.File = texts[0]; !filepath.IsAbs(t.File) {
					t.File = filepath.Join(filepath.Dir(f.path), t.File)
				}
			case "scopes":
				for _, s := range texts {
					if !slices.Contains(allScopes, api.Scope(s)) {
						return f.wrong(v.Line, s, "scopes out of read, write, exec and backup")
					}
					t.Scopes = append(t.Scopes, api.Scope(s))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		switch {
		case t.Name == "":
			return f.wrong(item.Line, "tokens", "a name for each, to tell them apart")
		case len(t.Scopes) == 0:
			return f.wrong(item.Line, t.Name, "scopes for it: read, write, exec, backup")
		case (t.SHA256 == "") == (t.File == ""):
			return f.wrong(item.Line, t.Name, "either sha256 or file")
		case slices.ContainsFunc(f.tokens, func(o Token) bool { return o.Name == t.Name }):
			return f.wrong(item.Line, t.Name, "a name that no other token has")
		}
		f.tokens = append(f.tokens, t)
	}
	return nil
}

// readLimited reads a file that is not expected to be long.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the owner says which file
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && len(b) > mostFile {
		err = fmt.Errorf("%s: want at most %d bytes", path, mostFile)
	}
	return b, err
}
