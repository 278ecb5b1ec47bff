package xep

import (
	"roost/router"
	"roost/session"
)

// streamManagement is stream management (XEP-0198), which package session implements.
func streamManagement() router.Extension {
	return router.Extension{
		Name:     "sm",
		XEP:      198,
		Version:  "1.6.3",
		Title:    "Stream Management",
		Features: []session.Feature{session.StreamManagement},
	}
}
