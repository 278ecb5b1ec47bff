package router

import (
	"roost/internal/events"
	"roost/store"
)

// accountActions are the names of what happens to accounts.
var accountActions = map[store.EventKind]string{
	store.AccountCreated: "created", store.AccountDeleted: "deleted", store.CredentialsChanged: "password-changed", store.CredentialsRenewed: "password-changed",
	store.AccountDisabled: "disabled", store.AccountEnabled: "enabled",
}

// publishEvents publishes what has happened to accounts.
func (r *Router) publishEvents(all []store.AccountEvent) {
	bus := r.sessions.Events()
	for _, e := range all {
		bus.Publish(events.Account, func() events.Event {
			return events.Event{JID: e.JID.BareString(), Action: accountActions[e.Kind]}
		})
	}
}
