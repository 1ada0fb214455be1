package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dulyhq/duly/api"
)

// What whoever starts the daemon has left open is not passed on to commands.
func TestProcess_DescriptorsArePassedToNobody(t *testing.T) {
	dir := shortDir(t)
	left, err := os.Create(filepath.Join(dir, "left"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = left.Close() }) // nothing was written
	p := startChild(t, dir, plainly, []*os.File{left, left})
	p.log.Has(t, "msg=ready")
	if _, err := p.c.Put(t.Context(), "a", api.Spec{Command: sh("for f in /proc/$$/fd/*; do echo $f $(readlink $f); done > " + dir + "/part; mv " + dir + "/part " + dir + "/done"), In: in(0)}); err != nil {
		t.Fatal(err)
	}
	until(t, dir+"/done")
	b, err := os.ReadFile(dir + "/done")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); strings.Contains(got, "/left") || !strings.Contains(got, "/fd/2") {
		t.Errorf("a command has the descriptors\n%s", got)
	}
}
