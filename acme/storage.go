package acme

import (
	"context"
	"path/filepath"

	"github.com/caddyserver/certmagic"

	"roost/internal/ownfile"
)

// storage keeps everything in files that only the owner of the data directory can read.
type storage struct {
	certmagic.FileStorage
}

// Store implements certmagic.Storage. What root stores belongs to the owner of the
// directory, so that the server's user can read it.
func (s *storage) Store(_ context.Context, key string, value []byte) error {
	name := s.Filename(key)
	if err := ownfile.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return ownfile.Write(name, value, 0o600)
}
