package servers

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"roost/bench/contacts"
	"strings"
)

//go:embed prosody.cfg.lua
var prosodyConfig string

func startProsody(c Config) (*Server, error) {
	first, err := c.first()
	if err != nil {
		return nil, err
	}
	if first {
		if err := errors.Join(c.prosodyAccounts(), c.prosodyRosters()); err != nil {
			return nil, err
		}
		if err := c.certificate(); err != nil {
			return nil, err
		}
	}
	config, err := c.fill("prosody.cfg.lua", prosodyConfig, c.values())
	if err != nil {
		return nil, err
	}
	return c.run(nil, "prosody", "-F", "--config", config)
}

// prosodyAccounts writes the accounts in the format of Prosody's module
// auth_internal_hashed. All have the same salt, which makes no difference to the clients.
func (c Config) prosodyAccounts() error {
	dir := filepath.Join(c.Dir, "data", "localhost", "accounts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const salt, iterations = "a salt of the benchmark", 10000
	salted, err := pbkdf2.Key(sha1.New, "secret", []byte(salt), iterations, sha1.Size)
	if err != nil {
		return err
	}
	sign := func(key []byte, text string) []byte {
		h := hmac.New(sha1.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha1.Sum(sign(salted, "Client Key"))
	text := fmt.Sprintf("return {\n\t[\"iteration_count\"] = %d;\n\t[\"salt\"] = %q;\n\t[\"stored_key\"] = %q;\n\t[\"server_key\"] = %q;\n};\n",
		iterations, salt, hex.EncodeToString(stored[:]), hex.EncodeToString(sign(salted, "Server Key")))
	for i := range c.Accounts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("user%d.dat", i)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// prosodyRosters writes the rosters in the format of Prosody's internal storage.
func (c Config) prosodyRosters() error {
	if c.Contacts == 0 {
		return nil
	}
	dir := filepath.Join(c.Dir, "data", "localhost", "roster")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range c.Accounts {
		var b strings.Builder
		b.WriteString("return {\n\t[false] = { [\"version\"] = 1; [\"pending\"] = {}; };\n")
		for _, n := range contacts.Neighbours(i, c.Accounts, c.Contacts) {
			fmt.Fprintf(&b, "\t[\"user%d@localhost\"] = { [\"subscription\"] = \"both\"; [\"name\"] = %q; [\"groups\"] = {}; };\n", n, contacts.Name)
		}
		b.WriteString("};\n")
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("user%d.dat", i)), []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
