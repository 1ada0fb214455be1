//go:build !linux

package main

import (
	"time"
)

func block(d time.Duration) { time.Sleep(d) }
