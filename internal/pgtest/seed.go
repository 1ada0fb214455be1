package pgtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A seed is what initdb makes, kept in memory (40 MB): to write it again takes a tenth of the second that initdb takes, and tests start
// many servers. They have the same system identifier, which matters to nobody but a standby.
type seed struct {
	once  sync.Once
	err   error
	files []seedFile
}

// A seedFile is a directory or a file, in the order in which they are made.
type seedFile struct {
	path string // below the data directory
	dir  bool
	data []byte
}

// seeds has a seed for each Version of this process.
var seeds sync.Map

func seedOf(v Version) *seed {
	s, _ := seeds.LoadOrStore(v, &seed{})
	return s.(*seed)
}

// plant puts what initdb makes into a directory that does not exist. The first to come for a version has it made there by initdb.
func (s *seed) plant(dir string, initdb func() error) error {
	made := false
	s.once.Do(func() {
		made = true
		if s.err = initdb(); s.err == nil {
			s.err = s.read(dir)
		}
	})
	if made || s.err != nil {
		return s.err
	}
	for _, f := range s.files {
		path := filepath.Join(dir, f.path)
		var err error
		if f.dir {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, f.data, 0o600)
		}
		if err == nil {
			err = giveAway(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *seed) read(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f := seedFile{dir: d.IsDir()}
		if f.path, err = filepath.Rel(dir, path); err == nil && !f.dir {
			f.data, err = os.ReadFile(path)
		}
		s.files = append(s.files, f)
		return err
	})
}
