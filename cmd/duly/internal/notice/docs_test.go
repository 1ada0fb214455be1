package notice

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// What docs/daemon.md shows as a notice is one, and all fields of one are told there.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "daemon.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	_, text, _ = strings.Cut(text, "\n## Being told\n")
	shown := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(text)
	if shown == nil {
		t.Fatal("docs/daemon.md shows no notice")
	}
	dec := json.NewDecoder(strings.NewReader(shown[1]))
	dec.DisallowUnknownFields()
	var n Notice
	if err := dec.Decode(&n); err != nil || n.What != Dead || n.Lateness == nil || n.StartedAt == nil {
		t.Errorf("%v: %+v", err, n)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Notice](), reflect.TypeFor[HeldBack]()} {
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/daemon.md does not tell of %s", name)
			}
		}
	}
}
