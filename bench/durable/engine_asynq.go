package main

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"
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

// put calls once for each: there is no call for many.
func (a *asynqEngine) put(ctx context.Context, tasks []task) error {
	for _, t := range tasks {
		if _, err := a.client.EnqueueContext(ctx, asynq.NewTask(asynqKind, t.payload()), asynq.ProcessAt(t.due)); err != nil {
			return err
		}
	}
	return nil
}

func (a *asynqEngine) run(begun func(id uint64)) error {
	return a.server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		begun(idOf(t.Payload()))
		return nil
	}))
}

func (a *asynqEngine) left(context.Context) (int, error) {
	inspector := asynq.NewInspector(a.redis)
	info, err := inspector.GetQueueInfo("default")
	if err != nil {
		return 0, errors.Join(err, inspector.Close())
	}
	return info.Size, inspector.Close()
}

func (a *asynqEngine) close() error {
	a.server.Shutdown()
	return a.client.Close()
}
