package main

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"

	"github.com/dulyhq/duly/bench/engines"
)

// asynqEngine is asynq with its defaults.
type asynqEngine struct {
	redis  asynq.RedisClientOpt
	client *asynq.Client
	server *asynq.Server
}

const asynqKind = "remind"

func openAsynq(address string) (engine, error) {
	redis := asynq.RedisClientOpt{Network: "unix", Addr: address}
	return &asynqEngine{redis: redis, client: asynq.NewClient(redis), server: asynq.NewServer(redis, asynq.Config{LogLevel: asynq.ErrorLevel})}, nil
}

// Put calls once for each: there is no call for many.
func (a *asynqEngine) Put(ctx context.Context, tasks []engines.Task) error {
	for _, t := range tasks {
		if _, err := a.client.EnqueueContext(ctx, asynq.NewTask(asynqKind, t.Payload()), asynq.ProcessAt(t.Due)); err != nil {
			return err
		}
	}
	return nil
}

// Run implements engine.
func (a *asynqEngine) Run(begun func(id uint64)) error {
	return a.server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		begun(engines.IDOf(t.Payload()))
		return nil
	}))
}

// Left implements engine.
func (a *asynqEngine) Left(context.Context) (int, error) {
	inspector := asynq.NewInspector(a.redis)
	info, err := inspector.GetQueueInfo("default")
	if err != nil {
		return 0, errors.Join(err, inspector.Close())
	}
	return info.Size, inspector.Close()
}

// Close implements engine.
func (a *asynqEngine) Close() error {
	a.server.Shutdown()
	return a.client.Close()
}
