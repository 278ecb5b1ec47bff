package api

import "time"

// Paths of blocks. A target in a path is escaped: its slash is %2F.
const (
	PathBlocks = "/v1/blocks"
	PathBlock  = "/v1/blocks/{target}"
)

// BlockKind is what a block is about.
type BlockKind string

// The kinds of blocks.
const (
	BlockNetwork BlockKind = "network"
	BlockAccount BlockKind = "account"
)

// BlockRequest is the body of POST /v1/blocks.
type BlockRequest struct {
	Target  string  `json:"target"`            // an address, a network, or the bare JID of an account
	Seconds float64 `json:"seconds,omitempty"` // how long it is blocked; default: until it is unblocked
	Reason  string  `json:"reason,omitempty"`  // what clients of the account are told, at most 200 characters
}

// Block is a network or an account that may not use the server.
type Block struct {
	Target    string     `json:"target"` // a network in CIDR notation, or a bare JID
	Kind      BlockKind  `json:"kind"`
	Reason    string     `json:"reason,omitempty"`
	Actor     string     `json:"actor"` // who has made it
	CreatedAt time.Time  `json:"created_at"`
	Until     *time.Time `json:"until,omitempty"` // missing: it has no end
}

// BlockResult is the response to POST /v1/blocks.
type BlockResult struct {
	Block
	Sessions int64 `json:"sessions"`          // connections that are ended, whether logged in or not
	Pending  bool  `json:"pending,omitempty"` // an event loop does not respond: the block is in force, and the connections of that loop end as soon as it responds
}

// BlockPage is the response to GET /v1/blocks.
type BlockPage struct {
	Blocks   []Block `json:"blocks"` // in the order of targets
	Matching int64   `json:"matching"`
	Cursor   string  `json:"cursor,omitempty"` // for the next page; missing on the last one
}
