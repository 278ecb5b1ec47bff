package store

import "context"

// Tables are what a store consists of, as all kinds of store keep it: those that others refer
// to come first. They exist for copying a store into one of another kind. What a kind of store
// derives from them, such as running counts, is its own matter.
var Tables = []*Table{
	{"account", 1, 1000, []Column{{"id", Int}, {"domain", Text}, {"local", Text},
		{"sha1_salt", Bytes}, {"sha1_iterations", Int}, {"sha1_stored", Bytes}, {"sha1_server", Bytes},
		{"sha256_salt", Bytes}, {"sha256_iterations", Int}, {"sha256_stored", Bytes}, {"sha256_server", Bytes},
		{"disabled", Bool}, {"created", Int}, {"roster_version", Int}, {"roster_floor", Int}, {"generation", Int}, {"event", Int}}},
	{"account_event", 1, 1000, []Column{{"id", Int}, {"jid", Text}, {"kind", Int}, {"at", Int}}},
	{"event_contact", 2, 1000, []Column{{"event", Int}, {"contact", Text}, {"state", Int}}},
	{"roster_item", 2, 1000, []Column{{"account", Int}, {"contact", Text}, {"name", Text}, {"groups", Text}, {"state", Int}, {"version", Int}}},
	{"roster_removed", 2, 1000, []Column{{"account", Int}, {"contact", Text}, {"version", Int}}},
	{"roster_request", 2, 100, []Column{{"account", Int}, {"contact", Text}, {"id", Int}, {"received", Int}, {"stanza", Bytes}}},
	{"offline", 2, 100, []Column{{"account", Int}, {"id", Int}, {"sender", Text}, {"size", Int}, {"received", Int}, {"stanza", Bytes}}},
	{"blob", 3, 100, []Column{{"account", Int}, {"kind", Text}, {"key", Text}, {"value", Bytes}}},
	{"last_activity", 1, 1000, []Column{{"account", Int}, {"at", Int}, {"status", Bytes}}},
	{"account_use", 1, 1000, []Column{{"account", Int}, {"day", Int}}},
	{"block", 1, 1000, []Column{{"target", Text}, {"reason", Text}, {"actor", Text}, {"created", Int}, {"until", Int}}},
	{"tombstone", 1, 1000, []Column{{"jid", Text}, {"deleted", Int}}},
	{"invitation", 1, 1000, []Column{{"id", Text}, {"domain", Text}, {"local", Text}, {"inviter", Text}, {"actor", Text}, {"contact", Bool}, {"uses", Int}, {"created", Int}, {"until", Int}}},
	{"saved_session", 1, 4, []Column{{"id", Int}, {"node", Text}, {"key", Text}, {"until", Int}, {"data", Bytes}}},
}

// Table describes a table.
type Table struct {
	Name    string
	Key     int // the number of columns, the first ones, by which rows are unique and ordered
	Page    int // how many rows are read and written at once, so that they take some megabytes at most
	Columns []Column
}

// Column is a column of a table. No value is NULL.
type Column struct {
	Name string
	Type ColumnType
}

// ColumnType is the type of a column.
type ColumnType uint8

// The types of columns.
const (
	Int   ColumnType = iota // int64
	Bool                    // int64: 0 or 1
	Text                    // string, ordered by its bytes
	Bytes                   // []byte
)

// Row has a value for each column of a table: an int64, a string or a []byte.
type Row []any

// Copier is a Store that can be copied. It must have been opened with the use Copying.
type Copier interface {
	Store

	// CountRows returns the number of rows of a table.
	CountRows(ctx context.Context, t *Table) (int64, error)

	// ReadRows returns the first rows of a table whose key is larger than after, t.Page at
	// most, in the order of their keys. after is a row, or nil for the beginning.
	ReadRows(ctx context.Context, t *Table, after Row) ([]Row, error)

	// LastRow returns the row of a table with the largest key, or nil.
	LastRow(ctx context.Context, t *Table) (Row, error)

	// LastMessage returns the largest ID that an offline message has ever had.
	LastMessage(ctx context.Context) (int64, error)

	// CopySource returns the text of BeginCopy if this store is an unfinished copy,
	// otherwise "". Such a store is not opened for any other use than Copying.
	CopySource(ctx context.Context) (string, error)

	// BeginCopy makes an empty store an unfinished copy of the source that a text names.
	BeginCopy(ctx context.Context, source string) error

	// WriteRows adds rows to a table of an unfinished copy, in one transaction.
	WriteRows(ctx context.Context, t *Table, rows []Row) error

	// DeriveRows computes what the store derives from its tables. IDs of new messages will
	// be larger than last. It may be repeated.
	DeriveRows(ctx context.Context, last int64) error

	// EndCopy makes an unfinished copy an ordinary store.
	EndCopy(ctx context.Context) error
}
