package store

// AccountData is an account with everything that is stored for it, as it moves from one
// server to another one.
type AccountData struct {
	Account
	Roster   []RosterItem  // their versions do not count
	Requests []Request     // pending subscription requests of others, oldest first
	Messages []NewMessage  // stored messages, in the order of arrival
	Blobs    []Blob        // with different kinds or keys
	Last     *LastActivity // when it was last online; only At and Status count; nil: unknown
}

// Blob is a value with its kind and key; see Blobs.
type Blob struct {
	Kind, Key string
	Value     []byte
}
