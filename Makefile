# Every target works in a fresh clone with Go, git and make; linters are built from tools.mod on first use.
# A comment after ## on a target's line is its line in `make help`.

.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# The modules that go.work joins, and bench, which stays outside. Each must also hold alone, so GOWORK=off.
MODULES = $(shell go list -m -f '{{.Dir}}') $(patsubst %/go.mod,$(CURDIR)/%,$(wildcard bench/go.mod))
each = set -e; for dir in $(MODULES); do echo "$${dir\#\#*/}: $(1)"; (cd "$$dir" && GOWORK=off $(or $(2),$(1))); done
LINT = $(shell GOWORK=off go tool -modfile=tools.mod -n golangci-lint)

# On this machine's own system `make lint` vets, each module alone.
SYSTEMS = $(filter-out $(shell go env GOHOSTOS),linux darwin windows freebsd)
# What is compiled to be vetted alone need not be fast.
UNTUNED = -gcflags='-N -l'
FUZZ_SECONDS ?= 5
MILLIONS ?= 10

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## run all tests of all modules, as the README says
	go test ./...

.PHONY: race
race: ## run all tests shuffled, with the race detector
	GORACE=atexit_sleep_ms=0 go test -race -shuffle=on -skip '^(TestModules_OfTheWorkspace|TestREADME_(Commands|Go)|TestRunBlock)$$' work

.PHONY: cover
cover: ## measure test coverage, as a page in .tmp/cover.html
	@mkdir -p .tmp
	go test -coverpkg=work -coverprofile=.tmp/cover.out work
	go tool cover -html=.tmp/cover.out -o .tmp/cover.html
	@go tool cover -func=.tmp/cover.out | tail -n 1

.PHONY: fmt
fmt: ## format all Go files
	@$(call each,golangci-lint fmt,$(LINT) fmt)

.PHONY: fmt-check
fmt-check: ## show what `make fmt` would change
	@$(call each,golangci-lint fmt --diff,$(LINT) fmt --diff)

.PHONY: lint
lint: ## run the linters
	@$(call each,golangci-lint run,$(LINT) run)

.PHONY: fix
fix: ## move the code to the idioms of the current Go
	@$(call each,go fix ./...)

.PHONY: fix-check
fix-check: ## show what `make fix` would change
	@$(call each,go fix -diff ./...)

.PHONY: vet-all
vet-all: ## vet for the other operating systems that duly is built for, and for 32 bits
	@set -e; for os in $(SYSTEMS); do echo "go vet for $$os"; CGO_ENABLED=0 GOOS=$$os go vet $(UNTUNED) work; done
	@echo "go vet for 32 bits"; CGO_ENABLED=0 GOOS=linux GOARCH=386 go vet $(UNTUNED) work

.PHONY: alone
alone: ## build each module without go.work
	@$(call each,go build -o /dev/null ./...)

.PHONY: floors
floors: ## hold the packages to the table of rooms and floors
	go test -count=1 ./internal/floors

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZ_SECONDS (5)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) .ci/fuzz

.PHONY: crash
crash: ## kill a store and a scheduler 20 times each, and cut the store's power 500 times
	cd store/pebble && DULY_TEST_CRASHES=1 go test -count=1 -run 'TestKill$$|TestPowerCuts' .
	cd internal/proof && DULY_TEST_CRASHES=1 go test -count=1 -run 'TestKill$$' .

.PHONY: test-slow
test-slow: ## run what takes minutes: ten million timers, a million random operations, every zone and change of clocks
	go test -tags slow -run 'TestTenMillion|TestModel_' ./timer
	go test -tags slow -timeout 60m -run 'TestZones|TestRandomRules' ./schedule

.PHONY: test-store-long
test-store-long: ## kill a store 300 times, cut its power 10,000 times, fail each storage call, damage each byte
	cd store/pebble && DULY_TEST_LONG=1 go test -count=1 -timeout 60m -v -run 'TestKill|TestPowerCuts|TestFaults' .
	cd store/pebble && go test -count=1 -timeout 60m -run 'TestDamage' . -damage.all

.PHONY: test-durable-long
test-durable-long: ## kill a scheduler 300 times, cut its power 3,000 times, run 100 tasks that kill their process beside 1,000 others
	cd internal/proof && DULY_TEST_LONG=1 go test -count=1 -timeout 60m -v -run 'TestKill$$|TestPowerCuts|TestPoison|TestSaturatedKey' .

.PHONY: test-cluster-long
test-cluster-long: ## break processes, connections, clocks and servers under several schedulers on PostgreSQL, into docs/bench/cluster-faults.md
	cd internal/clusterproof && DULY_TEST_LONG=1 go test -count=1 -timeout 120m -v . -record ../../docs/bench/cluster-faults.md

.PHONY: test-daemon-long
test-daemon-long: ## kill the daemon 100 times beside 64 clients that put, move, run and cancel tasks over HTTP
	cd cmd/duly && DULY_TEST_LONG=1 go test -count=1 -timeout 60m -v -run 'TestDaemon_Crash|TestBackup_Drill' .

.PHONY: packages
packages: ## make a .deb and an .rpm of VERSION (v0.0.0), for GOARCH or this machine, in .tmp/packages
	packaging/packages .tmp/packages

.PHONY: sbom
sbom: ## write which modules the program consists of, as CycloneDX, into .tmp/duly.cdx.json
	packaging/build .tmp/duly
	packaging/sbom .tmp/duly .tmp/duly.cdx.json

.PHONY: reproduce
reproduce: ## make the program and the packages in two clones of this commit, and compare them bit by bit
	packaging/reproduce

.PHONY: test-packaging
test-packaging: ## run the program in an empty root, install and remove the .deb, try a release; needs root, dpkg and git
	cd cmd/duly && DULY_TEST_LONG=1 go test -count=1 -timeout 30m -v -run 'TestPackaging' .

.PHONY: attack
attack: ## attack a daemon with 100,000 malformed requests, 5,000 slow connections and 10,000 readers that never read
	cd cmd/duly && DULY_TEST_LONG=1 go test -count=1 -timeout 60m -v ./internal/attack

.PHONY: hardship
hardship: ## take the daemon's disk, descriptors, processes, memory and right time away, with a million tasks and a thousand readers
	cd cmd/duly && DULY_TEST_LONG=1 go test -count=1 -timeout 60m -v ./internal/hardship

.PHONY: sim
sim: ## run package duly in SEEDS (2000) worlds with faults and crashes, each drawn from a seed
	go test -count=1 -timeout 20m ./internal/sim -run TestSim -sim.seeds=$(or $(SEEDS),2000)

.PHONY: mutate
mutate: ## change schedule, timer, store and duly (or ONLY one) in MUTANTS (200) small ways each, or for MINUTES, drawn by SEED (1): do the tests notice? Into docs/bench/mutation.md
	go test -count=1 -timeout 300m -v ./internal/mutate -run TestMutants -mutate -mutate.n=$(or $(MUTANTS),200) -mutate.seed=$(or $(SEED),1) $(if $(MINUTES),-mutate.for=$(MINUTES)m) $(if $(ONLY),-mutate.only=$(ONLY))

.PHONY: diff-cron
diff-cron: ## put DIFF_CASES (100000) random cron rules to two npm packages, too; needs node and npm
	cd internal/diffcron && npm ci --ignore-scripts --no-audit --no-fund
	go test -tags diff -count=1 -timeout 30m -v -run TestDiffCron ./schedule

.PHONY: diff-calendar
diff-calendar: ## put DIFF_CASES (100000) random calendar lines to systemd-analyze, too; needs the package systemd
	go test -tags diff -count=1 -timeout 30m -v -run TestDiffCalendar ./schedule

.PHONY: diff-rrule
diff-rrule: ## put DIFF_CASES (100000) random recurrences to dateutil and an npm package, too; needs python3-dateutil, node and npm
	cd internal/diffrrule && npm ci --ignore-scripts --no-audit --no-fund
	go test -tags diff -count=1 -timeout 90m -v -run TestDiffRRule ./schedule

.PHONY: bench
bench: ## measure the engine beside its peers, into docs/bench/engine.md
	@mkdir -p docs/bench
	cd bench && GOWORK=off go run . -out ../docs/bench/engine.md

.PHONY: bench-schedules
bench-schedules: ## measure Next of random cron rules, recurrences and calendar lines beside other packages, into docs/bench/schedules.md
	cd bench && GOWORK=off go run . -schedules $(or $(CASES),200000) -out ../docs/bench/schedules.md

.PHONY: bench-wait
bench-wait: ## measure waiting with a timeout beside its peers, into docs/bench/wait.md
	cd bench && GOWORK=off go run . -waits -out ../docs/bench/wait.md

.PHONY: bench-store
bench-store: ## measure the embedded store beside its peers, with 1 M tasks, into docs/bench/store.md
	cd bench && GOWORK=off go run ./store $(if $(DIR),-dir $(DIR)) -out ../docs/bench/store.md

.PHONY: bench-store-large
bench-store-large: ## the same with MILLIONS (10) of tasks, 100 take 50 GB of DIR, into docs/bench/store-10m.md
	cd bench && GOWORK=off go run ./store $(if $(DIR),-dir $(DIR)) -lines batch,start-clean,start-killed -n $(MILLIONS)000000 -out ../docs/bench/store-$(MILLIONS)m.md

.PHONY: bench-durable
bench-durable: ## measure the lateness of durable tasks beside River and asynq, whose servers it starts, into docs/bench/durable.md
	cd bench && GOWORK=off go run ./durable $(if $(DIR),-dir $(DIR)) -out ../docs/bench/durable.md

.PHONY: bench-endurance
bench-endurance: ## run for HOURS (1), or MINUTES, with N (10 M) tasks pending and a kill in the middle, into the same file
	cd bench && GOWORK=off go run ./durable $(if $(DIR),-dir $(DIR)) $(if $(N),-n $(N)) -endure $(if $(MINUTES),$(MINUTES)m,$(or $(HOURS),1)h) -out ../docs/bench/durable.md

.PHONY: bench-cluster
bench-cluster: ## measure tasks in PostgreSQL beside River, on a server that it starts, into docs/bench/cluster.md
	cd bench && GOWORK=off go run ./cluster $(if $(DIR),-dir $(DIR)) -out ../docs/bench/cluster.md

.PHONY: bench-http
bench-http: ## measure the daemon over HTTP: single puts, a million in batches, 100,000 callbacks due in one second, into docs/bench/http.md
	cd bench && GOWORK=off go run ./http $(if $(DIR),-dir $(DIR)) -out ../docs/bench/http.md

.PHONY: soak
soak: ## keep the daemon under a mixed load for HOURS, or MINUTES (10), and judge whether it stays flat, into docs/bench/soak.md
	cd bench && GOWORK=off go run ./http $(if $(DIR),-dir $(DIR)) -soak $(if $(MINUTES),$(MINUTES)m,$(if $(HOURS),$(HOURS)h,10m)) -out ../docs/bench/soak.md

.PHONY: tidy
tidy: ## tidy the requirements of each module
	@$(call each,go mod tidy)

.PHONY: tidy-check
tidy-check: ## check that the requirements are tidy and the downloads unchanged
	@$(call each,go mod tidy -diff)
	@$(call each,go mod verify)

.PHONY: ci
ci: ## do everything that a change must pass
	.ci/run
