package api

import "time"

// Paths of accounts. A bare JID in a path may need escapes.
const (
	PathAccounts        = "/v1/accounts"
	PathAccountLookup   = "/v1/accounts/lookup"
	PathAccountImport   = "/v1/accounts/import"
	PathAccount         = "/v1/accounts/{jid}"
	PathAccountPassword = "/v1/accounts/{jid}/password"
	PathAccountDisable  = "/v1/accounts/{jid}/disable"
	PathAccountEnable   = "/v1/accounts/{jid}/enable"
	PathAccountLogout   = "/v1/accounts/{jid}/logout"
	PathAccountTokens   = "/v1/accounts/{jid}/tokens"
	PathAccountToken    = "/v1/accounts/{jid}/tokens/{client}"
)

// Account is one account, in the list of GET /v1/accounts and in responses to changes.
type Account struct {
	JID      string    `json:"jid"` // bare
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled"` // it may not log in
	Sessions int64     `json:"sessions"` // of it that are connected
	// In lists: when it was used last, to within a day; to within a week if its clients stay
	// connected. Missing: never, as far as is known.
	Used *time.Time `json:"used_at,omitempty"`
}

// AccountPage is the response to GET /v1/accounts.
type AccountPage struct {
	Accounts []Account `json:"accounts"`
	Cursor   string    `json:"cursor,omitempty"` // for the next page; missing on the last one
}

// AccountDetail is the response to GET /v1/accounts/{jid}.
type AccountDetail struct {
	Account
	OfflineMessages int64       `json:"offline_messages"`    // that wait for it
	Keys            []KeysShown `json:"keys"`                // what its password is checked by, the strongest first
	LastSeen        *time.Time  `json:"last_seen,omitempty"` // when its last client has gone; missing if none ever has
	Event           int64       `json:"event"`               // the number of the last change of the account, also of one that was deleted and created again
}

// KeysShown describes the keys that an account has for a hash function of SCRAM, without
// them.
type KeysShown struct {
	Mechanism  string `json:"mechanism"`  // of SASL, also with channel binding: SCRAM-SHA-256 or SCRAM-SHA-1
	Iterations int64  `json:"iterations"` // of their derivation
}

// AccountCreate is the body of POST /v1/accounts.
type AccountCreate struct {
	JID        string `json:"jid"` // bare
	Password   string `json:"password" secret:"true"`
	Iterations int    `json:"iterations,omitempty"` // of the derivation of its keys, 4096 to 10000000; default 10000
	AnyDomain  bool   `json:"any_domain,omitempty"` // the domain need not be served
}

// MaxAccounts is the largest number of accounts in an AccountLookup or AccountImport.
const MaxAccounts = 256

// AccountLookup is the body of POST /v1/accounts/lookup.
type AccountLookup struct {
	JIDs []string `json:"jids"` // bare, 1 to 256
}

// AccountsFound is the response to POST /v1/accounts/lookup.
type AccountsFound struct {
	JIDs []string `json:"jids"` // those that are accounts
}

// AccountImport is the body of POST /v1/accounts/import. Passwords are not part of it: the
// server derives no keys.
type AccountImport struct {
	Accounts     []ImportedAccount `json:"accounts"`                // 1 to 256
	Update       bool              `json:"update,omitempty"`        // accounts that exist get the new keys; otherwise they stay as they are
	KeepSessions bool              `json:"keep_sessions,omitempty"` // with update: clients that are connected need not log in again
	AnyDomain    bool              `json:"any_domain,omitempty"`    // the domains need not be served
}

// ImportedAccount is an account of an AccountImport.
type ImportedAccount struct {
	JID  string      `json:"jid"` // bare
	Keys AccountKeys `json:"keys" secret:"true"`
}

// AccountKeys are what the server stores of a password, for SCRAM (RFC 5802 section 3). An
// account needs the keys of one hash function. It gets the others when a client logs in with
// the password (PLAIN), or sends them (XEP-0480).
type AccountKeys struct {
	SHA1   *ScramKeys `json:"sha1,omitempty"`   // for SCRAM-SHA-1, of 20 bytes each
	SHA256 *ScramKeys `json:"sha256,omitempty"` // for SCRAM-SHA-256, of 32 bytes each
}

// ScramKeys are the keys that the server needs for one hash function.
type ScramKeys struct {
	Salt       []byte `json:"salt"`       // 1 to 255 random bytes, for this account only
	Iterations int    `json:"iterations"` // 4096 to 10000000
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
}

// AccountsImported is the response to POST /v1/accounts/import.
type AccountsImported struct {
	Created  int64 `json:"created"`
	Existing int64 `json:"existing"` // that existed: they were updated, or stayed as they are
}

// AccountPassword is the body of POST /v1/accounts/{jid}/password.
type AccountPassword struct {
	Password     string `json:"password" secret:"true"`
	Iterations   int    `json:"iterations,omitempty"`    // of the derivation of its keys, 4096 to 10000000; default 10000
	KeepSessions bool   `json:"keep_sessions,omitempty"` // clients that are connected need not log in again
	Event        int64  `json:"event,omitempty"`         // that of GET /v1/accounts/{jid}: if the account has changed since, nothing is done; default: any
}

// AccountLogout is the response to POST /v1/accounts/{jid}/logout. The sessions end soon
// after it.
type AccountLogout struct {
	JID       string `json:"jid"`
	Sessions  int64  `json:"sessions"`  // that are ended, on all nodes
	Tokens    int64  `json:"tokens"`    // clients that could log in without the password until now
	Condition string `json:"condition"` // of the stream error that their clients get
	Text      string `json:"text"`
}

// TokenClient is a client of an account that has a token, by which it logs in without the
// password (FAST, XEP-0484).
type TokenClient struct {
	ID        string    `json:"id"`                 // the id that the client has chosen for its installation, a UUID
	Software  string    `json:"software,omitempty"` // its own names for itself
	Device    string    `json:"device,omitempty"`
	Mechanism string    `json:"mechanism"` // of SASL, that the token is valid for
	Issued    time.Time `json:"issued"`    // when the client got its newest token
	Expires   time.Time `json:"expires"`   // when that ends, unless the client logs in before: it then gets a new one
	Used      time.Time `json:"used"`      // the last login, to within a day
}

// TokenList is the response to GET /v1/accounts/{jid}/tokens.
type TokenList struct {
	Clients []TokenClient `json:"clients"`
}

// TokensRevoked is the response to a request that revokes tokens.
type TokensRevoked struct {
	Clients  int64 `json:"clients"`  // that no longer have a token
	Sessions int64 `json:"sessions"` // that are ended, on all nodes; without a server none
}
