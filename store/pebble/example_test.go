package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// A task that was put is there when the directory is opened again, whatever became of the process.
func ExampleOpen() {
	home, err := os.MkdirTemp("", "duly")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home) //nolint:errcheck // a temporary directory
	dir := filepath.Join(home, "tasks")
	ctx := context.Background()

	s, err := pebble.Open(dir, pebble.Options{MinFree: -1})
	if err != nil {
		log.Fatal(err) //nolint:gocritic // after a failure the directory may stay
	}
	res, err := s.Put(ctx, []store.Put{{
		Key:  store.Key{Name: "order-7"},
		Spec: store.Spec{Kind: "remind", Payload: []byte("the parcel is ready")},
		When: store.In(72*time.Hour, 0),
	}})
	if err != nil || res[0].Err != nil {
		log.Fatal(err, res[0].Err)
	}
	fmt.Println(res[0].Outcome)
	_, err = pebble.Open(dir, pebble.Options{})
	fmt.Println("a second time:", errors.Is(err, store.ErrLocked))
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}

	s, err = pebble.Open(dir, pebble.Options{})
	if err != nil {
		log.Fatal(err)
	}
	tasks, err := s.Get(ctx, []store.Key{{Name: "order-7"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", tasks[0].Name, tasks[0].Payload)
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// created
	// a second time: true
	// order-7: the parcel is ready
}

// A backup is taken while the store works, and restored into a directory that does not exist.
func ExampleStore_Backup() {
	home, err := os.MkdirTemp("", "duly")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home) //nolint:errcheck // a temporary directory
	tasks, backup, restored := filepath.Join(home, "tasks"), filepath.Join(home, "backup"), filepath.Join(home, "restored")
	ctx := context.Background()
	o := pebble.Options{MinFree: -1}

	s, err := pebble.Open(tasks, o)
	if err != nil {
		log.Fatal(err) //nolint:gocritic // after a failure the directory may stay
	}
	put := func(name string) {
		res, err := s.Put(ctx, []store.Put{{Key: store.Key{Name: name}, Spec: store.Spec{Kind: "remind"}, When: store.In(time.Hour, 0)}})
		if err != nil || res[0].Err != nil {
			log.Fatal(err, res[0].Err)
		}
	}
	put("before")
	if err := s.Backup(ctx, backup); err != nil {
		log.Fatal(err)
	}
	put("after")
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}

	if err := pebble.Restore(backup, restored, o); err != nil {
		log.Fatal(err)
	}
	s, err = pebble.Open(restored, o)
	if err != nil {
		log.Fatal(err)
	}
	page, err := s.List(ctx, store.Query{})
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range page.Tasks {
		fmt.Println(t.Name)
	}
	if err := s.Close(); err != nil {
		log.Fatal(err)
	}
	// Output: before
}
