package postgres

import (
	"time"

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
