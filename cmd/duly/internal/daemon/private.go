package daemon

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// privateFS makes files that only their owner can read, whatever the umask is: a copy of the store's directory would keep their modes,
// where the directory's own no longer protects them.
type privateFS struct{ vfs.FS }

// Unwrap returns the file system below.
func (p privateFS) Unwrap() vfs.FS { return p.FS }

// Create makes a file.
func (p privateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	return private(f, name, err)
}

// OpenReadWrite opens a file, and makes it if there is none.
func (p privateFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.OpenReadWrite(name, category, opts...)
	return private(f, name, err)
}

// Lock locks a file, and makes it if there is none.
func (p privateFS) Lock(name string) (io.Closer, error) {
	l, err := p.FS.Lock(name)
	return private(l, name, err)
}

// private narrows a file that was made, or was there.
func private[F io.Closer](f F, name string, err error) (F, error) {
	if err != nil {
		return f, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		var none F
		return none, errors.Join(err, f.Close())
	}
	return f, nil
}
