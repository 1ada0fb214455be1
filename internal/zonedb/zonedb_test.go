package zonedb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/zonedb"
)

func TestUse(t *testing.T) {
	if z, err := zonedb.Current().Load("UTC"); err != nil || z != time.UTC || zonedb.Current().Version != "" {
		t.Errorf("at first: %v, %v, version %q; want package time's", z, err, zonedb.Current().Version)
	}
	other := &zonedb.DB{Version: "none", Load: func(string) (*time.Location, error) { return nil, errors.New("it is empty") }}
	restore := zonedb.Use(other)
	if got := zonedb.Current(); got != other {
		t.Errorf("in use: %v, want %v", got, other)
	}
	restore()
	if z, err := zonedb.Current().Load("UTC"); err != nil || z != time.UTC {
		t.Errorf("afterwards: %v, %v; want package time's", z, err)
	}
}
