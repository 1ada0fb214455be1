package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"testing"

	"github.com/dulyhq/duly/internal/pgtest"
)

// TestMain: the program starts itself to send letters, and under test it is this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-work" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		if err := work(ctx, os.Getenv("DATABASE_URL")); err != nil {
			os.Exit(1) //nolint:gocritic // nothing is left to be undone
		}
		return
	}
	os.Exit(m.Run())
}

// contract: A2, D5.
func TestSell(t *testing.T) {
	var out bytes.Buffer
	if err := sell(t.Context(), pgtest.Shared(t).Database(t), &out); err != nil {
		t.Fatal(err)
	}
	const want = `60 orders taken, every tenth of them was rolled back
one of the two processes is killed
54 letters sent, each once, by 2 processes
`
	if got := out.String(); got != want {
		t.Errorf("output:\n%s\nwant:\n%s", got, want)
	}
}
