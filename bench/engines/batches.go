package engines

import (
	"sync"
	"sync/atomic"
)

// Batch is how many tasks Batches hands over at a time.
const Batch = 1000

// Batches makes n tasks and hands them to put in batches, from some callers at once. The first error ends it and is returned.
func Batches(n, callers int, of func(i int) Task, put func(tasks []Task) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for failed.Load() == nil {
				from := int(next.Add(Batch)) - Batch
				if from >= n {
					return
				}
				batch := make([]Task, 0, Batch)
				for i := from; i < min(from+Batch, n); i++ {
					batch = append(batch, of(i))
				}
				if err := put(batch); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
