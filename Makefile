# Targets for development and CI; see CONTRIBUTING.md.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.1.4

# Packages with goroutines: these run under the race detector.
RACE = ./acme ./poller ./poller/epoll ./session ./router ./cluster/... ./server ./store/... ./xep ./internal/... ./admin/... ./blocks ./bench

# Tests with PostgreSQL and Redis fail if these are not installed, instead of being skipped.
export ROOST_TEST_ENGINES = required

# Enough for slow tests on a busy machine; ends tests that hang. Many tests wait more than they
# compute, so more of them run at once than there are CPUs.
TESTFLAGS = -timeout 40m -p 4 -parallel 8

.PHONY: build test unit check race arm64 packages fuzz fuzz-parser bench interop deps mutate

build:
	go build -o roost ./cmd/roost
	go build -o roost-bench ./cmd/roost-bench

# All tests and checks, as in CI.
test: deps check unit race arm64 interop packages fuzz-parser
	@echo "make test: all passed"

deps:
	@scripts/deps.sh

unit:
	go test $(TESTFLAGS) ./...

check:
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	go vet ./...
	go vet -tags interop ./test/... ./poller
	@go run $(STATICCHECK) -version >/dev/null || { echo "make check: staticcheck cannot be built: run this once with a network, or set GOPROXY"; exit 1; }
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	go test ./internal/archtest
	@go run $(GOVULNCHECK) ./... > .govulncheck 2>&1 && echo "govulncheck: no known vulnerabilities" || \
	if grep -q "^Vulnerability #" .govulncheck; then cat .govulncheck; rm -f .govulncheck; exit 1; \
	else echo "govulncheck: skipped, its database cannot be reached"; fi; rm -f .govulncheck

# With fewer cuts of the dialogues than unit: these find mistakes of a single goroutine.
race:
	ROOST_CUT_STEP=211 go test $(TESTFLAGS) -race $(RACE)

# Builds and vets everything for linux/arm64, and vets the poller for loong64, the third
# architecture that netpoll supports. Tests the code that depends on the architecture
# under QEMU: the parser's vector kernel, the poller's use of netpoll and the kernel, and
# TLS records.
ARM64 = GOOS=linux GOARCH=arm64 ROOST_TEST_EMULATOR=qemu-aarch64
arm64: deps
	$(ARM64) go build ./...
	$(ARM64) go vet ./...
	GOOS=linux GOARCH=loong64 go vet ./poller/...
	$(ARM64) go test -exec qemu-aarch64 ./parser ./poller ./poller/epoll ./poller/leantls

interop: deps
	go test $(TESTFLAGS) -tags interop -count=1 ./test/interop
	go test -tags interop -count=1 -run '^Test(OpenSSL|GnuTLS)$$' ./poller

# What is distributed, in dist: see scripts/dist.sh.
.PHONY: dist test-dist
dist:
	scripts/dist.sh

# The tests need root, for mounts and for dpkg, in a copy of the file system.
AS_ROOT = $(if $(filter 0,$(shell id -u)),,sudo -E env "PATH=$$PATH") unshare --mount

# Part of make test: makes Debian's package of the files as they are, for this architecture, and
# installs, starts, upgrades, removes and purges it; serves from the image's file system, made by
# hand; and runs the commands of the documents for newcomers.
packages: deps
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	SOURCE=. FORMATS="archive deb" ARCHS=$$(go env GOARCH) scripts/dist.sh "$$dir/dist" && \
	go test -c -o "$$dir/tests" ./test/dist && cd test/dist && \
	$(AS_ROOT) env ROOST_DIST="$$dir/dist" "$$dir/tests" -test.timeout 30m -test.run '^Test(Debian.*|ColdInstall|Image|Newcomer)$$'

# Tests everything that dist has made, also what make test leaves out: both architectures and
# formats, with Debian's checkers, a second build in another directory, the image made by buildah,
# and the schemas of the files for containers; and the commands for newcomers again in a Debian
# that has nothing else. It takes some minutes.
COMPOSE = github.com/compose-spec/compose-go/v2/cmd@v2.4.7
test-dist: dist
	@scripts/deps.sh test/dist/packages.txt
	shellcheck --severity=warning scripts/*.sh
	for f in deploy/package/*.sh; do cat deploy/package/users.sh $$f | shellcheck --shell=sh --exclude=SC2317,SC2329 -; done
	for f in deploy/*/compose.yaml; do go run $(COMPOSE) $$f >/dev/null || exit 1; done
	$(AS_ROOT) env ROOST_DIST=$(CURDIR)/dist $(shell which go) test -count=1 -timeout 30m ./test/dist
	dir=$$(mktemp -d) && trap '$(AS_ROOT) rm -rf "$$dir"' EXIT && \
	$(AS_ROOT) mmdebstrap --quiet --variant=important --include=openssl bookworm "$$dir/root" && \
	$(AS_ROOT) env ROOST_DIST=$(CURDIR)/dist ROOST_DIST_ROOT="$$dir/root" $(shell which go) test -count=1 -timeout 30m -run '^Test(DebianPackage|ColdInstall|Newcomer)$$' ./test/dist

fuzz:
	scripts/fuzz.sh

# Part of make test: fuzzes the code that parses network input first.
fuzz-parser:
	FUZZTIME=20s scripts/fuzz.sh ./parser ./jid

bench:
	go test -run '^$$' -bench . -benchmem ./...

mutate:
	go test -tags mutation -run TestMutations -timeout 60m ./poller/leantls

# Compares roost with Debian's Prosody and ejabberd: writes bench/results/density.md.
# Needs the packages prosody and ejabberd, 16,000 open files and about an hour
# and a half.
.PHONY: bench-peers bench-cluster charts
bench-peers:
	go run ./bench/peers

# Three nodes with PostgreSQL and Redis beside one server, and two of ejabberd, if it is installed, beside one; writes bench/results/cluster.md.
bench-cluster:
	ROOST_BENCH_CLUSTER=$(CURDIR)/bench/results/cluster.md go test -run '^$$' -bench BenchmarkCluster -benchtime 1x -timeout 2h ./bench

# Writes the page and the charts in bench/results again, from the figures there.
charts:
	go run ./bench/peers -draw
