package server

import (
	"crypto/tls"
	"strconv"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
)

// scrape returns the samples that a server exports: what is written before the value.
func scrape(t testing.TB, c *api.Client) map[string]float64 {
	t.Helper()
	var text []byte
	if err := c.Get(t.Context(), api.PathMetrics, nil, &text); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[line[:at]] = v
	}
	return all
}

// TestMetrics: what clients do is exported.
func TestMetrics(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS = "127.0.0.1:0" })
	admin := adminOf(t, s)
	before := scrape(t, admin)
	romeo := directTLS(t, s, tls.VersionTLS13).login("romeo", "a").available()
	connect(t, s).login("juliet", "b")
	romeo.ask("<message to='romeo@localhost/a'><body>delivered</body></message>", "</message>")
	romeo.ask("<message to='nurse@localhost' type='chat'><body>stored</body></message>"+
		"<iq type='get' id='e' to='localhost'><x xmlns='unknown'/></iq>", "id='e'")
	romeo.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", "id='r'")
	romeo.ask("<message to='juliet@localhost' type='headline'><body>dropped</body></message><iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'")
	after := scrape(t, admin)
	for sample, want := range map[string]float64{
		`roost_sessions{state="available"}`:                               1,
		`roost_sessions{state="unavailable"}`:                             1,
		`roost_accounts_online`:                                           2,
		`roost_connections`:                                               2,
		`roost_connections_accepted_total`:                                2,
		`roost_logins_total{mechanism="PLAIN",result="success"}`:          2,
		`roost_login_duration_seconds_count`:                              2,
		`roost_tls_handshakes_total{resumed="false",version="1.3"}`:       1,
		`roost_tls_record_layers_total{layer="lean",reason=""}`:           1,
		`roost_messages_total{outcome="delivered"}`:                       1,
		`roost_messages_total{outcome="stored"}`:                          1,
		`roost_messages_total{outcome="dropped"}`:                         1,
		`roost_offline_messages_total{event="stored"}`:                    1,
		`roost_stanzas_received_total{kind="message"}`:                    3,
		`roost_stanzas_received_total{kind="iq"}`:                         6, // two of them to bind
		`roost_stanzas_sent_total{kind="message"}`:                        1,
		`roost_stanza_errors_sent_total{condition="service-unavailable"}`: 1,
		`roost_sessions_ended_total{reason="closed"}`:                     0,
		`roost_panics_recovered_total{part="session"}`:                    0,
	} {
		if got := after[sample] - before[sample]; got != want {
			t.Errorf("%s has grown by %v, want %v", sample, got, want)
		}
	}
	for _, sample := range []string{
		"roost_received_bytes_total", "roost_sent_bytes_total", "roost_reads_total", "roost_writes_total", "roost_loop_turn_duration_seconds_count",
		`roost_store_operation_duration_seconds_count{class="read"}`, `roost_store_operation_duration_seconds_count{class="write"}`, "roost_store_commits_total",
		"roost_store_commit_writes_sum", `roost_roster_cache_requests_total{result="hit"}`, "roost_roster_cache_bytes", "process_cpu_seconds_total",
	} {
		if after[sample] <= before[sample] {
			t.Errorf("%s was %v and is %v", sample, before[sample], after[sample])
		}
	}
	if expires := after[`roost_certificate_expiry_timestamp_seconds{domain="localhost"}`]; expires < float64(time.Now().Add(365*24*time.Hour).Unix()) {
		t.Errorf("the certificate expires at %v", expires)
	}
	if after[`roost_capacity_sessions{check="open-files"}`] <= 0 || after["roost_ready"] != 1 || after["go_goroutines"] < 5 {
		t.Errorf("%v %v %v", after[`roost_capacity_sessions{check="open-files"}`], after["roost_ready"], after["go_goroutines"])
	}

	nurse := connect(t, s).login("nurse", "c")
	nurse.ask("<presence/>", "stored")
	nurse.ask("</stream:stream>", "</stream:stream>")
	last := scrape(t, admin)
	for sample, want := range map[string]float64{
		`roost_offline_messages_total{event="delivered"}`: 1,
		`roost_sessions_ended_total{reason="closed"}`:     1,
		`roost_messages_total{outcome="delivered"}`:       1, // the stored one was counted
	} {
		if got := last[sample] - before[sample]; got != want {
			t.Errorf("%s has grown by %v, want %v", sample, got, want)
		}
	}
}
