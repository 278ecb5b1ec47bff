package router

// LogError logs an error because of which the server has not done something for an account, at a
// limited rate: while the store fails, very many clients meet the same error. address is a bare JID
// or a full one.
func (r *Router) LogError(what, address string, err error) {
	if r.errorLog.Allow() {
		r.config().Logger.Error(what, "jid", address, "err", err)
	}
}
