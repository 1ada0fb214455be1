// Package record is the form in which stores keep tasks, their runs and entries of the history as bytes. docs/format.md draws it,
// and names each value as it is named here.
//
// It is not for keys, nor for what a store keeps of its own: a store has these in its own form, for which [Decoder] and the appending
// functions of package encoding/binary serve. The form is written down for ever: what was stored by an older version is read by
// every later one, so a change of it is a new [Version].
//
// The appending functions append one value to a slice and return the slice, as the built-in append does; they do not keep what they are
// handed. The central type is Decoder, which takes values apart again.
package record

import (
	"encoding/binary"

	"github.com/dulyhq/duly/store"
)

// Version is the version of the form. A value that is more than raw bytes begins with it, as one byte.
const Version = 1

// Flags of a task.
const (
	taskRecurring = 1 << iota
	taskEnded
	taskPaused
	taskApart // the payload is kept elsewhere
	taskMoved

	taskFlags = taskRecurring | taskEnded | taskPaused | taskApart | taskMoved
)

// Flags of a run.
const (
	runFinal = 1 << iota
	runStop
	runExtra

	runFlags = runFinal | runStop | runExtra
)

// AppendText appends a text or bytes: how long they are, and these.
func AppendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendTask appends a task, all of it but its key and the leases of its runs. Without payload that is left out too: the caller keeps it
// elsewhere, which the value says.
func AppendTask(b []byte, t *store.Task, payload bool) []byte {
	var flags byte
	if t.Recurring {
		flags |= taskRecurring
	}
	if t.Ended {
		flags |= taskEnded
	}
	if t.Paused() {
		flags |= taskPaused
	}
	if t.Moved {
		flags |= taskMoved
	}
	if !payload {
		flags |= taskApart
	}
	b = append(b, Version, flags)
	b = binary.AppendVarint(b, t.Generation)
	b = binary.AppendVarint(b, int64(t.AcceptedAt))
	b = binary.AppendVarint(b, int64(t.FirstAt))
	if t.Paused() {
		b = binary.AppendVarint(b, int64(t.PausedAt))
		b = AppendText(b, t.PausedWhy)
	}
	b = AppendText(b, t.Kind)
	b = AppendText(b, t.Schedule)
	b = AppendText(b, t.Policy)
	b = AppendText(b, t.LimitKey)
	b = binary.AppendVarint(b, int64(t.Priority))
	b = binary.AppendUvarint(b, uint64(len(t.Tags)))
	for _, tag := range t.Tags {
		b = AppendText(b, tag)
	}
	if payload {
		b = AppendText(b, t.Payload)
	}
	return AppendLive(b, t)
}

// AppendLive appends what claiming and settling change of a task: the next occurrence, the last one, how many were started, the runs
// without their leases. It is a part of a value, without a version.
func AppendLive(b []byte, t *store.Task) []byte {
	b = binary.AppendVarint(b, int64(t.Next.For))
	b = binary.AppendVarint(b, int64(t.Next.Due))
	b = binary.AppendVarint(b, int64(t.Last))
	b = binary.AppendVarint(b, t.Starts)
	b = binary.AppendUvarint(b, uint64(len(t.Runs)))
	for i := range t.Runs {
		b = appendRun(b, &t.Runs[i])
	}
	return b
}

// appendRun appends a run, but for its lease: on which clock that ends, and whether it outlives the process, only the store knows.
func appendRun(b []byte, r *store.Run) []byte {
	var flags byte
	if r.Final {
		flags |= runFinal
	}
	if r.Stop {
		flags |= runStop
	}
	if r.Extra {
		flags |= runExtra
	}
	b = append(b, byte(r.State), flags)
	for _, n := range [...]int64{
		r.Generation, int64(r.For), int64(r.Due), int64(r.Attempt), int64(r.Snoozed), int64(r.Lost),
		r.Fence, r.Missed, int64(r.BegunAt), int64(r.StartedAt),
	} {
		b = binary.AppendVarint(b, n)
	}
	b = AppendText(b, r.Owner)
	return AppendText(b, r.Reason)
}

// AppendOverlay appends what claims have changed of a task, to be kept beside the task: its generation, and what AppendLive appends.
func AppendOverlay(b []byte, t *store.Task) []byte {
	return AppendLive(binary.AppendVarint(append(b, Version), t.Generation), t)
}

// AppendDead appends when a run died, and its task with no other run than that one, and with its payload.
func AppendDead(b []byte, died store.Instant, t *store.Task) []byte {
	return AppendTask(binary.AppendVarint(append(b, Version), int64(died)), t, true)
}

// AppendEvent appends an entry of the history, with the key of its task and without its number. Nothing can be appended behind it: what
// is left at the end of the value is its identity.
func AppendEvent(b []byte, e *store.Event) []byte {
	b = append(b, Version, byte(e.Verb), byte(e.From), byte(e.To))
	b = binary.AppendVarint(b, int64(e.At))
	for _, n := range [...]int64{
		e.Generation, int64(e.For), int64(e.Due), int64(e.Attempt), e.Fence, int64(e.AcceptedAt), int64(e.StartedAt), e.Missed,
	} {
		b = binary.AppendVarint(b, n)
	}
	b = AppendText(b, e.Namespace)
	b = AppendText(b, e.Name)
	b = AppendText(b, e.Kind)
	b = AppendText(b, e.Owner)
	b = AppendText(b, e.Reason)
	if e.Identity != (store.Identity{}) {
		b = append(b, e.Identity[:]...)
	}
	return b
}
