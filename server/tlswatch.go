package server

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"
)

// watchInterval is how often the server looks whether the files of its certificates have
// changed: about once a minute. No other ticker has this interval, so that tests can tell
// them apart.
const watchInterval = 59 * time.Second

// fileStamp tells versions of a file apart without reading it. All but the name is zero if
// there is no file.
type fileStamp struct {
	name     string
	modified time.Time
	size     int64
	inode    uint64
}

// stamps returns the stamps of the operator's files, and of those of obtained certificates,
// which another node may have renewed.
func (s *certSource) stamps() (all []fileStamp) {
	names := slices.Concat(s.certFiles, s.keyFiles)
	if s.acme.Enabled() {
		for _, domain := range s.domains {
			cert, key := s.acme.Files(domain)
			names = append(names, cert, key)
		}
	}
	for _, name := range names {
		f := fileStamp{name: name}
		if info, err := os.Stat(name); err == nil {
			f.modified, f.size = info.ModTime(), info.Size()
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				f.inode = st.Ino
			}
		}
		all = append(all, f)
	}
	return all
}

// WatchFiles reads the certificates again when their files have changed, until ctx ends. If
// they cannot be used, such as while a certificate is new and its key is old, the previous
// ones stay, and that is logged once for each change.
func (c *Certificates) WatchFiles(ctx context.Context) {
	every(ctx, watchInterval, c.checkFiles)
}

func (c *Certificates) checkFiles() {
	set := c.set.Load()
	now := set.source.stamps()
	c.mu.Lock()
	changed := !slices.Equal(c.seen, now)
	c.seen = now
	c.mu.Unlock()
	if !changed {
		return
	}
	if err := c.Reload(); err != nil {
		c.log.Error("files of certificates have changed, but cannot be used; the previous certificates stay in use", "err", err)
		return
	}
	c.log.Info("certificates reloaded: their files have changed")
}
