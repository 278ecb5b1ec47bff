package router

// PresenceLocked reports whether somebody holds the presence lock of an account.
func (r *Router) PresenceLocked(bare string) bool {
	mu := &r.presenceLocks[r.stripe(bare)]
	if mu.TryLock() {
		mu.Unlock()
		return false
	}
	return true
}
