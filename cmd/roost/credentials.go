package main

import (
	"os"
	"path/filepath"
	"strings"
)

// credentialPrefix marks a file name as a credential of the systemd unit, such as
// cred:key.
const credentialPrefix = "cred:"

// findCredentials replaces names of credentials by the names of their files, and returns
// what is wrong with them. systemd puts credentials (LoadCredential=) into a directory
// that only the service may read, and passes its name in the environment
// (https://systemd.io/CREDENTIALS).
func (c *siteFlags) findCredentials() (wrong []mistake) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	for _, f := range []struct {
		flag  string
		files []string
	}{{"tls-cert", c.TLSCert}, {"tls-key", c.TLSKey}} {
		for i, file := range f.files {
			name, ok := strings.CutPrefix(file, credentialPrefix)
			switch {
			case !ok:
			case name == "" || name != filepath.Base(name) || name == "." || name == "..":
				wrong = append(wrong, mistake{f.flag, "--" + f.flag + ": " + file + " is not the name of a credential, such as cred:key"})
			case dir == "":
				wrong = append(wrong, mistake{f.flag, "--" + f.flag + ": " + file + " is a credential of a systemd unit, and there are none here: add LoadCredential=" + name + ":FILE to the unit, or give the name of the file"})
			default:
				f.files[i] = filepath.Join(dir, name)
			}
		}
	}
	return wrong
}
