package main

import (
	"os"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// Rows 14, 15, 17 and 18b: scheduling.

func workCalls(c *cell) values { return workPuts(c, openOptions{callers: 64}, 1) }

func workBatch(c *cell) values { return workPuts(c, openOptions{callers: 4}, 1000) }

func workSlow(c *cell) values {
	return workPuts(c, openOptions{callers: 64, slowSync: 2 * time.Millisecond}, 1)
}

func workPuts(c *cell, o openOptions, batch int) values {
	eng := c.open(o)
	l := load{eng: eng, callers: o.callers, batch: batch, to: int64(c.spec.N), end: c.end(1), make: farItem(nowMicros())}
	v := l.run().values()
	if resident, most, ok := figures.Resident(os.Getpid()); ok {
		v[keyRSS], v[keyPeak] = mib(resident), mib(most)
	}
	pending, err := eng.pending()
	runs.Must("count", err)
	v[keyPending], v[keyWant] = float64(pending), v[keyTasks]
	runs.Must("close", eng.close())
	if written, ok := figures.WrittenBytes(); ok {
		v[keyWritten] = float64(written) / max(v[keyTasks], 1)
	}
	disk, err := figures.TreeBytes(os.DirFS(c.spec.Dir))
	runs.Must("measure disk", err)
	v[keyDisk] = float64(disk) / max(v[keyTasks], 1)
	return v
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
