//go:build diff

package schedule_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ask puts questions to a program in a folder of internal, one JSON object a line, and reads an answer to each in the same form. An object
// that says something of the program itself in place of an answer is logged. needs is what the program needs.
func ask[Q any, A interface{ program() string }](t *testing.T, folder, needs string, questions []Q, name string, args ...string) (answers []A) {
	t.Helper()
	var in bytes.Buffer
	e := json.NewEncoder(&in)
	for _, q := range questions {
		if err := e.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join("..", "internal", folder)
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ask %s in %s: %v; it needs %s", name, cmd.Dir, err, needs)
	}
	scan := bufio.NewScanner(bytes.NewReader(out))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var a A
		if err := json.Unmarshal(scan.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		if of := a.program(); of != "" {
			t.Log(of)
			continue
		}
		answers = append(answers, a)
	}
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}
