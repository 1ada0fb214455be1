package api

import (
	"context"
	"errors"
	"net/http"
)

const tarForm = "application/x-tar"

var backupRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/backup", need: Backup, form: tarForm,
		what:  "Take a backup while the scheduler works, as a tar archive that duly backup reads. It has all that tasks hold, secrets among them.",
		serve: (*call).backup,
	},
}

// backup answers GET /v1/backup. An archive that could not be written to its end is cut off, so that nobody takes it for a whole one.
func (c *call) backup() error {
	if c.o.Backup == nil {
		return &mistake{class: ErrNoBackup, why: "this server takes no backups of its tasks"}
	}
	out := &archive{c: c, rc: http.NewResponseController(c.w)}
	if c.r.Method == http.MethodHead {
		out.begin()
		return nil
	}
	err := c.o.Backup(c.r.Context(), out)
	switch {
	case err == nil:
		return nil
	case !out.begun:
		return err
	}
	c.log.WarnContext(c.r.Context(), "a backup was cut off", "error", err)
	panic(http.ErrAbortHandler)
}

// An archive is the body of the answer. A reader that takes nothing of it for a while is cut off.
type archive struct {
	c     *call
	rc    *http.ResponseController
	begun bool
}

func (a *archive) begin() {
	a.begun = true
	a.c.w.Header().Set("Content-Type", tarForm)
	a.c.w.WriteHeader(http.StatusOK)
}

func (a *archive) Write(p []byte) (int, error) {
	if ctx := a.c.r.Context(); ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if !a.begun {
		a.begin()
	}
	if err := a.rc.SetWriteDeadline(byRuntime(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return a.c.w.Write(p)
}
