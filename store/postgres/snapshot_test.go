package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roost/internal/pgtest"
	"roost/store"
)

// dumped makes a snapshot of a database.
func dumped(t *testing.T, url string) (store.SnapshotInfo, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), DumpName)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return location{url}.Snapshot(t.Context(), file, func(int64, int64) {})
}

// TestSnapshotSecrets: passwords are not in the arguments of pg_dump, which other users can read.
func TestSnapshotSecrets(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	openTest(t, url, Config{})
	url += "&sslpassword=key%20secret%23&password=databasesecret"
	if info, err := dumped(t, url); err != nil || info.Version == 0 { // libpq reads the file
		t.Errorf("%+v, %v", info, err)
	}
	dir := t.TempDir()
	const script = `#!/bin/sh
cd "${0%/*}" && echo "$@" >arguments && cat "$PGSERVICEFILE" >file
`
	for name, text := range map[string]string{"pg_dump": script, "pg_restore": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if _, err := dumped(t, url); err != nil {
		t.Fatal(err)
	}
	arguments, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err != nil || !strings.Contains(string(arguments), "service=roost") || strings.Contains(string(arguments), "secret") {
		t.Errorf("arguments %s, %v", arguments, err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "file"))
	if want := "[roost]\nsslpassword=key secret#\n"; string(file) != want || err != nil {
		t.Errorf("the file is %q, want %q: %v", file, want, err)
	}
}

// TestSnapshotRefused: a password of the client's key that pg_dump cannot be told is an error.
func TestSnapshotRefused(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	openTest(t, url, Config{})
	file := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(file, []byte("[other]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", file)
	for more, want := range map[string]string{"a%0ab": "a line break", "a%20": "a space", "a&service=other": "into the service file"} {
		if _, err := dumped(t, url+"&sslpassword="+more); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", more, err, want)
		}
	}
}
