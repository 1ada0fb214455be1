package client

import (
	"context"
	"io"
	"net/http"
)

// Backup has the daemon take a backup while it works, and returns it as a tar archive, to be read to its end and closed. An archive that
// was cut off ends with an error, not with io.EOF. It has all that tasks hold, secrets among them: the token needs the scope backup. The
// error is api.ErrNoBackup if the tasks are where the daemon takes none, as in a database.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	r := &request{op: "backup", method: http.MethodGet, path: "/v1/backup"}
	res, _, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
