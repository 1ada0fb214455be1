package home_test

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dulyhq/duly/cmd/duly/internal/home"
)

func TestData(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths are those of other systems")
	}
	here, err := filepath.Abs("here")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		flag string
		env  map[string]string
		want string
	}{
		"the flag is before all":             {"/f", map[string]string{"DULY_DATA": "/d", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/f"},
		"a relative flag":                    {"here", nil, here},
		"DULY_DATA is before XDG":            {"", map[string]string{"DULY_DATA": "/d/../e", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/e"},
		"XDG is before the home":             {"", map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/duly"},
		"a relative XDG does not count":      {"", map[string]string{"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/duly"},
		"the home":                           {"", map[string]string{"HOME": "/home/ada"}, "/home/ada/.local/state/duly"},
		"a service has no home":              {"", nil, "/var/lib/duly"},
		"a service's home may be the root":   {"", map[string]string{"HOME": "/"}, "/var/lib/duly"},
		"a home that is relative is no home": {"", map[string]string{"HOME": "."}, "/var/lib/duly"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := home.Data(tt.flag, func(key string) string { return tt.env[key] })
			if err != nil || got != tt.want {
				t.Errorf("Data(%q) = %q, %v; want %q", tt.flag, got, err, tt.want)
			}
		})
	}
}

func TestSocket(t *testing.T) {
	longest := "/" + strings.Repeat("d", home.MostSocket-len("//duly.sock"))
	if got, err := home.Socket(longest); err != nil || len(got) != home.MostSocket {
		t.Errorf("Socket of the longest directory: %q, %v", got, err)
	}
	got, err := home.Socket(longest + "d")
	if err == nil {
		t.Fatalf("Socket of a directory that is too long: %q, want an error", got)
	}
	for _, want := range []string{"104 bytes", "at most 103", "--data", longest + "d"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}
