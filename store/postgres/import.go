package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/store"
)

// accountColumns are accounts as arrays, one for each parameter.
type accountColumns struct {
	domains, locals []string
	salts           [store.NumHashes][][]byte
	iterations      [store.NumHashes][]int32
	stored, server  [store.NumHashes][][]byte
	disabled        []bool
	created         []int64
}

// importSQL calls put_account for each account, in their order.
const importSQL = `SELECT put_account(u.domain, u.local, u.k1, u.k2, u.k3, u.k4, u.k5, u.k6, u.k7, u.k8, u.disabled, u.created,
		$13, $14, $15::smallint)
	FROM unnest($1::text[], $2::text[], $3::bytea[], $4::integer[], $5::bytea[], $6::bytea[],
		$7::bytea[], $8::integer[], $9::bytea[], $10::bytea[], $11::boolean[], $12::bigint[])
		AS u (domain, local, k1, k2, k3, k4, k5, k6, k7, k8, disabled, created)`

// add adds an account. Without a time of its creation, that is now.
func (c *accountColumns) add(a *store.Account, now time.Time) {
	at := a.Created
	if at.IsZero() {
		at = now
	}
	c.domains, c.locals = append(c.domains, a.JID.Domain()), append(c.locals, a.JID.Local())
	c.disabled, c.created = append(c.disabled, a.Disabled), append(c.created, at.Unix())
	for i, h := range keyOrder {
		k := &a.Credentials[h]
		c.salts[i] = append(c.salts[i], bytesOf(k.Salt))
		c.iterations[i] = append(c.iterations[i], int32(k.Iterations))
		c.stored[i] = append(c.stored[i], bytesOf(k.StoredKey))
		c.server[i] = append(c.server[i], bytesOf(k.ServerKey))
	}
}

// args returns the first arguments of importSQL.
func (c *accountColumns) args() []any {
	args := []any{c.domains, c.locals}
	for i := range c.salts {
		args = append(args, c.salts[i], c.iterations[i], c.stored[i], c.server[i])
	}
	return append(args, c.disabled, c.created)
}

// dataColumns are the data of accounts as arrays of columns. The first of each group has the
// numbers of the accounts, from 1.
type dataColumns struct {
	itemOf                  []int32
	contacts, names, groups []string
	states                  []int64
	requestOf               []int32
	requestFrom             []string
	requestReceived         []int64
	requestStanzas          [][]byte
	messageOf               []int32
	messageFrom             []string
	messageReceived         []int64
	messageStanzas          [][]byte
	blobOf                  []int32
	blobKinds, blobKeys     []string
	blobValues              [][]byte
	lastOf                  []int32
	lastAt                  []int64
	lastStatus              [][]byte
}

// add adds the data of an account.
func (c *dataColumns) add(n int32, d *store.AccountData) error {
	for i := range d.Roster {
		item := &d.Roster[i]
		if slices.ContainsFunc(item.Groups, badGroup) {
			return errGroup
		}
		if err := store.CheckKey(item.JID.String()); err != nil {
			return err
		}
		c.itemOf, c.contacts, c.names = append(c.itemOf, n), append(c.contacts, item.JID.String()), append(c.names, item.Name)
		c.groups, c.states = append(c.groups, strings.Join(item.Groups, groupSeparator)), append(c.states, stateOf(item))
	}
	for _, r := range d.Requests {
		c.requestOf, c.requestFrom = append(c.requestOf, n), append(c.requestFrom, r.From.BareString())
		c.requestReceived, c.requestStanzas = append(c.requestReceived, r.Received.Unix()), append(c.requestStanzas, bytesOf(r.Stanza))
	}
	for _, m := range d.Messages {
		if m.From.IsZero() {
			return errNoSender
		}
		c.messageOf, c.messageFrom = append(c.messageOf, n), append(c.messageFrom, m.From.BareString())
		c.messageReceived, c.messageStanzas = append(c.messageReceived, m.Received.UnixMilli()), append(c.messageStanzas, bytesOf(m.Stanza))
	}
	for _, b := range d.Blobs {
		if err := store.CheckKey(b.Key); err != nil {
			return err
		}
		c.blobOf, c.blobKinds = append(c.blobOf, n), append(c.blobKinds, b.Kind)
		c.blobKeys, c.blobValues = append(c.blobKeys, b.Key), append(c.blobValues, bytesOf(b.Value))
	}
	if d.Last != nil {
		c.lastOf, c.lastAt, c.lastStatus = append(c.lastOf, n), append(c.lastAt, d.Last.At.Unix()), append(c.lastStatus, bytesOf(d.Last.Status))
	}
	return nil
}

// args returns the last arguments of createSQL.
func (c *dataColumns) args() []any {
	return []any{
		c.itemOf, c.contacts, c.names, c.groups, c.states,
		c.requestOf, c.requestFrom, c.requestReceived, c.requestStanzas,
		c.messageOf, c.messageFrom, c.messageReceived, c.messageStanzas,
		c.blobOf, c.blobKinds, c.blobKeys, c.blobValues,
		c.lastOf, c.lastAt, c.lastStatus,
	}
}

const createSQL = `SELECT create_accounts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
	$18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)`

// CreateAccounts implements store.Accounts.
func (s *Store) CreateAccounts(ctx context.Context, all []store.AccountData) (created []bool, err error) {
	now := time.Now()
	var columns accountColumns
	var data dataColumns
	w := &write{
		sql:   createSQL,
		reset: func() { created = created[:0] },
		row: func(rows pgx.Rows) error {
			var isNew bool
			err := rows.Scan(&isNew)
			created = append(created, isNew)
			return err
		},
	}
	for i := range all {
		columns.add(&all[i].Account, now)
		if err := data.add(int32(i+1), &all[i]); err != nil {
			w.refuse(err)
		}
	}
	w.args = append(append(columns.args(), now.UnixMicro(), now.Unix()), data.args()...)
	if err := s.exec(ctx, "CreateAccounts", "create accounts", w); err != nil {
		return nil, err
	}
	return created, nil
}
