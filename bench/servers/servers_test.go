package servers

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPhones: the others have the modules for phones exactly if they are to have them.
func TestPhones(t *testing.T) {
	for file, config := range map[string]string{"prosody.cfg.lua": prosodyConfig, "ejabberd.yml": ejabberdConfig} {
		for _, phones := range []bool{false, true} {
			name, err := Config{Dir: t.TempDir(), Phones: phones}.fill(file, config, Config{Phones: phones}.values())
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, module := range phoneModules[file] {
				if strings.Contains(string(text), module) != phones {
					t.Errorf("%s, phones %v: %s is in %s", file, phones, module, text)
				}
			}
		}
	}
}

var phoneModules = map[string][]string{
	"prosody.cfg.lua": {"smacks", "csi_simple", "carbons"},
	"ejabberd.yml":    {"mod_stream_mgmt", "mod_client_state", "mod_carboncopy"},
}

// TestUnknownServer: the error says which servers there are.
func TestUnknownServer(t *testing.T) {
	if _, err := Start("prosodi", Config{}); err == nil || !strings.Contains(err.Error(), "roost, prosody or ejabberd") {
		t.Errorf("got %v", err)
	}
}
