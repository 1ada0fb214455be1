package duly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// A period is a duration that is written as Go writes it: 1m30s.
type period time.Duration

func (p period) MarshalText() ([]byte, error) { return []byte(time.Duration(p).String()), nil }

func (p *period) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*p = period(d)
	return err
}

// A policy is how a task is to be run, as it is kept with the task: JSON, without what is at its default, and nothing at all if
// all is.
type policy struct {
	Attempts     int           `json:"attempts,omitempty"`
	Backoff      period        `json:"backoff,omitempty"`
	MaxBackoff   period        `json:"max_backoff,omitempty"`
	MaxElapsed   period        `json:"max_elapsed,omitempty"`
	Overlap      OverlapPolicy `json:"overlap,omitzero"`
	CatchUp      CatchUpPolicy `json:"catch_up,omitzero"`
	Window       period        `json:"window,omitempty"`
	Grace        period        `json:"grace,omitempty"`
	StartWithin  period        `json:"start_within,omitempty"`
	Timeout      period        `json:"timeout,omitempty"`
	KeyLimit     int           `json:"key_limit,omitempty"`
	AtMostOnce   bool          `json:"at_most_once,omitempty"`
	StopOnError  bool          `json:"stop_on_error,omitempty"`
	ResumeMissed bool          `json:"resume_missed,omitempty"`
}

// The defaults of Retry.
const (
	defaultAttempts   = 10
	defaultBackoff    = time.Second
	defaultMaxBackoff = time.Hour
)

var defaultPolicy policy

func (p *policy) encode() ([]byte, error) {
	if *p == defaultPolicy {
		return nil, nil
	}
	return json.Marshal(p)
}

// policies remembers those that were read lately: programs have few different ones.
type policies struct {
	mu   sync.Mutex
	read map[string]*policy
}

const policiesMost = 1024

// of reads a policy. One that is not readable, because something else wrote it, is the default one.
func (c *policies) of(b []byte) (*policy, error) {
	if len(b) == 0 {
		return &defaultPolicy, nil
	}
	c.mu.Lock()
	p := c.read[string(b)]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p = new(policy)
	if err := json.Unmarshal(b, p); err != nil {
		return &defaultPolicy, fmt.Errorf("read the policy %.100q: %w", b, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read == nil || len(c.read) >= policiesMost {
		c.read = map[string]*policy{}
	}
	c.read[string(b)] = p
	return p, nil
}

// CheckPolicy looks at how a task is to be run, as a store keeps it in [store.Spec]: whether it is what a put would have written. It is for
// programs that put into a store what they have read elsewhere. The error is ErrInvalid and says what is wrong.
func CheckPolicy(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var p policy
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return fmt.Errorf("%w: the policy %.100q: %w", ErrInvalid, b, err)
	}
	var x put
	Retry(RetryPolicy{
		Attempts: p.Attempts, Backoff: time.Duration(p.Backoff), MaxBackoff: time.Duration(p.MaxBackoff), MaxElapsed: time.Duration(p.MaxElapsed),
	})(&x)
	for _, d := range [...]struct {
		field string
		d     period
	}{{"window", p.Window}, {"grace", p.Grace}, {"start within", p.StartWithin}, {"timeout", p.Timeout}} {
		if d.d != 0 {
			x.positive(d.field, time.Duration(d.d))
		}
	}
	if p.KeyLimit < 0 {
		x.fail("key's k", strconv.Itoa(p.KeyLimit), "at least 1")
	}
	return x.err
}

func (p *policy) attempts() int {
	switch {
	case p.AtMostOnce:
		return 1
	case p.Attempts == 0:
		return defaultAttempts
	}
	return p.Attempts
}

// backoff returns how long to wait after the n-th attempt that failed, from 1: exponential from Backoff to MaxBackoff, with full
// jitter (Brooker, "Exponential Backoff and Jitter"), and no less than a millisecond.
func (p *policy) backoff(n int) time.Duration {
	base, most := time.Duration(p.Backoff), time.Duration(p.MaxBackoff)
	if base == 0 {
		base = defaultBackoff
	}
	if most == 0 {
		most = max(defaultMaxBackoff, base)
	}
	d := base
	for range n - 1 {
		if d >= most/2 {
			d = most
			break
		}
		d *= 2
	}
	return max(rand.N(max(min(d, most), 1)), time.Millisecond) // whatever somebody has written there
}
