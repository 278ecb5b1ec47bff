package api

import "time"

// Paths of invitations.
const (
	PathInvitations = "/v1/invitations"
	PathInvitation  = "/v1/invitations/{invitation}"
)

// MaxInvitationUses is the largest number of accounts that one invitation can be for.
const MaxInvitationUses = 1000

// InvitationCreate is the body of POST /v1/invitations.
type InvitationCreate struct {
	Domain   string  `json:"domain,omitempty"`   // of the account; default: that of the server, if it has only one
	Username string  `json:"username,omitempty"` // of the account, reserved until the invitation ends; default: chosen by who is invited
	Uses     int     `json:"uses,omitempty"`     // accounts that can be created, 1 to 1000; default 1
	Seconds  float64 `json:"seconds,omitempty"`  // how long it is valid; default: --invitation-life
}

// Invitation lets somebody create an account. The link is known only when it is created: the
// server keeps a hash of its token.
type Invitation struct {
	ID        string    `json:"id"`
	Domain    string    `json:"domain"`
	Username  string    `json:"username,omitempty"` // missing: chosen by who is invited
	Inviter   string    `json:"inviter,omitempty"`  // bare JID of the account that invites; missing: an administrator does
	Actor     string    `json:"actor"`              // who has made it
	Contact   bool      `json:"contact,omitempty"`  // the inviter and the new account become contacts
	Uses      int       `json:"uses"`               // accounts that can still be created; 0: it was used
	CreatedAt time.Time `json:"created_at"`
	Until     time.Time `json:"until"` // it is valid until then
}

// InvitationCreated is the response to POST /v1/invitations.
type InvitationCreated struct {
	Invitation
	URI  string `json:"uri"`            // for the clients of those who are invited
	Page string `json:"page,omitempty"` // for their browsers; missing: the server has no such page
}

// InvitationPage is the response to GET /v1/invitations.
type InvitationPage struct {
	Invitations []Invitation `json:"invitations"`      // in no particular order
	Cursor      string       `json:"cursor,omitempty"` // for the next page; missing on the last one
}
