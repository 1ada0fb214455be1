package duly

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// A Codec turns payloads into bytes and back.
type Codec[T any] interface {
	Encode(v T) ([]byte, error)
	Decode(b []byte) (T, error)
}

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(v T) ([]byte, error) { return json.Marshal(v) }

func (jsonCodec[T]) Decode(b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// rawCodec is what a Kind[[]byte] has: bytes are stored as they are.
type rawCodec struct{}

func (rawCodec) Encode(b []byte) ([]byte, error) { return b, nil }
func (rawCodec) Decode(b []byte) ([]byte, error) { return b, nil }

func codecOf[T any]() Codec[T] {
	if c, ok := any(rawCodec{}).(Codec[T]); ok {
		return c
	}
	return jsonCodec[T]{}
}

// kindSettings are what KindOptions write to.
type kindSettings struct {
	limit      int
	rate       float64
	burst      int
	defaults   []PutOption
	codec      any
	middleware []Middleware
	err        error
}

// A KindOption changes how tasks of a kind are put and run here.
type KindOption func(*kindSettings)

// Limit lets at most n attempts of the kind run at a time in this scheduler; n is at least 1.
func Limit(n int) KindOption {
	return func(k *kindSettings) {
		if n < 1 && k.err == nil {
			k.err = invalid("handle", store.Key{}, "limit", strconv.Itoa(n), "at least 1")
		}
		k.limit = n
	}
}

// Rate lets attempts of the kind start at most r times a second in this scheduler, and burst at once after a pause: a token bucket,
// which holds burst tokens and gets r a second.
func Rate(r float64, burst int) KindOption {
	return func(k *kindSettings) {
		if !(r > 0) && k.err == nil {
			k.err = invalid("handle", store.Key{}, "rate", strconv.FormatFloat(r, 'g', -1, 64), "more than 0 a second")
		}
		if burst < 1 && k.err == nil {
			k.err = invalid("handle", store.Key{}, "burst", strconv.Itoa(burst), "at least 1")
		}
		k.rate, k.burst = r, burst
	}
}

// Defaults are options of every Put of the kind; those of the Put itself come after them.
func Defaults(opts ...PutOption) KindOption {
	return func(k *kindSettings) { k.defaults = append(k.defaults, opts...) }
}

// WithCodec replaces JSON. A Kind[[]byte] stores its bytes as they are.
func WithCodec[T any](c Codec[T]) KindOption {
	return func(k *kindSettings) {
		if c == nil && k.err == nil {
			k.err = invalid("handle", store.Key{}, "codec", "nil", fmt.Sprintf("one for %T, or none, which is JSON", *new(T)))
		}
		k.codec = c
	}
}

// Use wraps the kind's handler; the first is outermost, and inside of Options.Middleware.
func Use(m ...Middleware) KindOption {
	return func(k *kindSettings) { k.middleware = append(k.middleware, m...) }
}

// A Kind puts tasks of one kind, whose payload is a T. All methods are safe for concurrent use.
type Kind[T any] struct {
	s        *Scheduler
	name     string
	codec    Codec[T]
	defaults []PutOption
	err      error
}

// Handle says how tasks of a kind are run in this scheduler, and returns what puts them. The kind's name is stored with each task, so
// it must stay what it is. Tasks that are due already start at once if the scheduler runs. A kind that is handled twice, or a wrong
// option, is a mistake that every Put and Run return; and so is, on a store that is shared among processes, one beyond store.MaxKinds.
func Handle[T any](s *Scheduler, kind string, handler func(ctx context.Context, a *Attempt[T]) error, opts ...KindOption) *Kind[T] {
	k, set := declare[T](s, kind, opts)
	if k.err == nil && handler == nil {
		k.err = invalid("handle", store.Key{}, "handler", "nil", "a function")
	}
	h := func(ctx context.Context, a *AttemptInfo) error {
		v, err := k.codec.Decode(a.Raw)
		if err != nil {
			return Permanent(fmt.Errorf("decode the payload of %q: %w", a.Name, err))
		}
		return handler(ctx, &Attempt[T]{AttemptInfo: a, Payload: v})
	}
	if k.err == nil {
		k.err = s.core.handle(kind, h, set)
	}
	if k.err != nil {
		s.core.mistake(k.err)
	}
	return k
}

// Declare returns what puts tasks of a kind that another process runs.
func Declare[T any](s *Scheduler, kind string, opts ...KindOption) *Kind[T] {
	k, _ := declare[T](s, kind, opts)
	if k.err == nil && kindError(kind) == nil {
		s.core.stats.declared(kind)
	}
	return k
}

func declare[T any](s *Scheduler, kind string, opts []KindOption) (*Kind[T], *kindSettings) {
	set := new(kindSettings)
	for _, o := range opts {
		o(set)
	}
	k := &Kind[T]{s: s, name: kind, codec: codecOf[T](), defaults: set.defaults, err: set.err}
	if set.codec != nil {
		c, ok := set.codec.(Codec[T])
		if !ok {
			k.err = invalid("handle", store.Key{}, "codec", fmt.Sprintf("%T", set.codec), fmt.Sprintf("one for %T", *new(T)))
			return k, set
		}
		k.codec = c
	}
	return k, set
}

// Name returns the kind's name.
func (k *Kind[T]) Name() string { return k.name }

// In returns the kind for tasks of another namespace.
func (k *Kind[T]) In(namespace string) *Kind[T] {
	n := *k
	n.s = k.s.In(namespace)
	return &n
}

// A PutOutcome says what a Put did: Created, Replaced, Unchanged, Kept or AlreadyRan.
type PutOutcome = store.PutOutcome

// The outcomes of a Put.
const (
	Created    = store.Created
	Replaced   = store.Replaced   // there was a task of this name
	Unchanged  = store.Unchanged  // it declares what is there: same generation, same instant
	Kept       = store.Kept       // OnConflict(Keep): what is there stays
	AlreadyRan = store.AlreadyRan // a one-off that ran before, as its history says, is not run again
)

// An Entry is the answer to a Put: the task as it is now.
type Entry struct {
	Namespace    string
	Name         string
	Outcome      PutOutcome
	Generation   int64     // 0 after AlreadyRan
	ScheduledFor time.Time // the next nominal instant; zero if there is none, or never
	Due          time.Time // that and its jitter
	Err          error     // of PutMany: why this one was refused
}

// Put accepts a task under a name, replacing the one of that name unless OnConflict says otherwise. After nil it is durable. Putting
// what is there already, the same kind, payload, schedule and options, changes nothing, so that any number of processes may put the
// same recurring task when they start; of a one-off the instant has to be the same too.
//
// The error is ErrInvalid for what can't be right, naming it; ErrKindMismatch, ErrExists or ErrCondition if the name's task stands
// in the way; ErrNoSpace; ErrUnknown if ctx ended, or the store failed, while it was being written.
func (k *Kind[T]) Put(ctx context.Context, name string, payload T, s schedule.Schedule, opts ...PutOption) (Entry, error) {
	p, err := k.build(ctx, name, payload, s, opts)
	if err != nil {
		return Entry{}, err
	}
	res, err := k.s.core.put(ctx, []store.Put{p})
	if err != nil {
		return Entry{}, err
	}
	e := entryOf(p.Key, &res[0])
	return e, e.Err
}

// An Item is one task of PutMany.
type Item[T any] struct {
	Name     string
	Payload  T
	Schedule schedule.Schedule
	Options  []PutOption
}

// putBatch is how many of PutMany's items are written as one.
const putBatch = 1000

// PutMany puts what seq yields, in batches that each are written as one, and returns an Entry for each item in its order; what was
// refused has its Err. It stops at the first batch that fails as a whole, and returns the entries before it.
func (k *Kind[T]) PutMany(ctx context.Context, seq iter.Seq[Item[T]]) ([]Entry, error) {
	var all []Entry
	batch := make([]store.Put, 0, putBatch)
	var places []int // where the batch's answers go
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		res, err := k.s.core.put(ctx, batch)
		if err != nil {
			return err
		}
		for i := range res {
			all[places[i]] = entryOf(batch[i].Key, &res[i])
		}
		batch, places = batch[:0], places[:0]
		return nil
	}
	for it := range seq {
		p, err := k.build(ctx, it.Name, it.Payload, it.Schedule, it.Options)
		if err != nil {
			all = append(all, Entry{Namespace: k.s.namespace, Name: it.Name, Err: err})
			continue
		}
		batch, places = append(batch, p), append(places, len(all))
		all = append(all, Entry{})
		if len(batch) == putBatch {
			if err := flush(); err != nil {
				return all[:places[0]], err
			}
		}
	}
	if err := flush(); err != nil {
		return all[:places[0]], err
	}
	return all, nil
}

// PutTx puts within the caller's transaction: the task exists if and only if that commits. It is ErrNoTx if the store has no
// transactions; what tx may be, the store says.
func (k *Kind[T]) PutTx(ctx context.Context, tx any, name string, payload T, s schedule.Schedule, opts ...PutOption) (Entry, error) {
	x, ok := k.s.core.store.(store.Transactor)
	if !ok {
		return Entry{}, ErrNoTx
	}
	p, err := k.build(ctx, name, payload, s, opts)
	if err != nil {
		return Entry{}, err
	}
	res, err := x.PutTx(ctx, tx, []store.Put{p})
	if err != nil {
		return Entry{}, err
	}
	e := entryOf(p.Key, &res[0])
	return e, e.Err
}

func (k *Kind[T]) build(ctx context.Context, name string, payload T, s schedule.Schedule, opts []PutOption) (store.Put, error) {
	if k.err != nil {
		return store.Put{}, k.err
	}
	p := put{Put: store.Put{Key: store.Key{Namespace: k.s.namespace, Name: name}}}
	b, err := k.codec.Encode(payload)
	if err != nil {
		return store.Put{}, &store.Error{Op: "put", Key: p.Key, Err: fmt.Errorf("%w: encode the payload: %w", ErrInvalid, err)}
	}
	p.Kind, p.Payload = k.name, b
	for _, list := range [2][]PutOption{k.defaults, opts} {
		for _, o := range list {
			if o == nil {
				p.fail("option", "nil", "an option")
			} else {
				o(&p)
			}
		}
	}
	return k.s.core.declared(ctx, &p, s)
}

func entryOf(k store.Key, r *store.PutResult) Entry {
	e := Entry{Namespace: k.Namespace, Name: k.Name, Outcome: r.Outcome, Err: r.Err}
	if r.Task != nil {
		e.Generation = r.Task.Generation
		e.ScheduledFor, e.Due = r.Task.Next.For.Time(), r.Task.Next.Due.Time()
	}
	return e
}
