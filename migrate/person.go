package migrate

import "roost/store"

// Person is what a store has of an account, as JSON, for the person whose account it is: as in
// JSON lines, but without secrets.
type Person struct {
	lineAccount
	Keys []PersonKeys `json:"keys"` // instead of those of lineAccount
}

// PersonKeys says for which mechanism an account has keys.
type PersonKeys struct {
	Mechanism  string `json:"mechanism"`
	Iterations int    `json:"iterations"`
}

// Describe returns the data of an account, as ReadAccount returns them, without secrets.
func Describe(d *store.AccountData) Person {
	p := Person{lineAccount: lineOf(d), Keys: []PersonKeys{}}
	p.lineAccount.Keys = nil
	for h := range store.NumHashes {
		if d.Credentials.Hashes().Has(h) {
			p.Keys = append(p.Keys, PersonKeys{h.Mechanism(), d.Credentials[h].Iterations})
		}
	}
	return p
}
