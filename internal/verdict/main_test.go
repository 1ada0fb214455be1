package verdict_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/internal/verdict"
)

// TestMain lets no test leave a goroutine behind. With writerLog set this process is one of those that write to a log.
func TestMain(m *testing.M) {
	if path := os.Getenv(writerLog); path != "" {
		if err := writeAsProcess(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const (
	writerLog  = "DULY_VERDICT_LOG"
	writerBoot = "DULY_VERDICT_BOOT"
)

// writeAsProcess writes what a process of TestWriter_Processes has to, whose number is in writerBoot.
func writeAsProcess(path string) error {
	boot, err := strconv.ParseInt(os.Getenv(writerBoot), 10, 64)
	if err != nil {
		return err
	}
	w, err := verdict.OpenWriter(path, verdict.WriterOptions{Incarnation: verdict.Incarnation{Node: "child", Boot: boot}, At: boot, NoSync: boot > 1})
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("open\n"); err != nil {
		return err
	}
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil { // until the others are open too
		return err
	}
	return writeMany(w, 4)
}
