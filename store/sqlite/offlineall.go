package sqlite

import (
	"context"
	"errors"

	"roost/jid"
	"roost/store"
)

// AppendOfflineAll implements store.Offline.
func (s *Store) AppendOfflineAll(ctx context.Context, owner jid.JID, all []store.NewMessage, quota store.OfflineQuota) ([]store.StoredMessage, error) {
	what := "store messages for " + owner.BareString()
	stored := make([]store.StoredMessage, len(all))
	var mode mode
	if len(all) == 1 && all[0].Replaces == 0 {
		mode = noSavepoint
	}
	err := s.write(ctx, "AppendOfflineAll", what, mode, func(c *conn) error {
		clear(stored) // f may be called twice
		for i, m := range all {
			limits := quota
			if m.Replaces != 0 {
				limits = store.OfflineQuota{}
				if err := c.deleteOffline(owner, []int64{m.Replaces}); err != nil {
					return err
				}
			}
			err := c.appendOffline(owner, m, limits)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrQuota) || errors.Is(err, store.ErrBlocked) {
				stored[i].Err = err
				err = c.countRefused()
			} else {
				stored[i].ID = c.LastInsertRowID()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}
