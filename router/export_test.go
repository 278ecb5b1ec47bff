package router

// PresenceLocked reports whether an account's presence lock is held.
func (r *Router) PresenceLocked(bare string) bool {
	mu := &r.presenceLocks[r.stripe(bare)]
	if mu.TryLock() {
		mu.Unlock()
		return false
	}
	return true
}

// NewBlocklist makes a list of these addresses.
var NewBlocklist = newBlocklist
