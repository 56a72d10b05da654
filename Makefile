# The commands of the project; `make help` lists them.

# The database drivers that nobody needs here are left out, as xcaddy does by default.
TAGS     := nobadger,nomysql,nopgx
LDFLAGS  := -s -w
BIN      ?= bin/caddy
FUZZTIME ?= 20s
SEEDS    ?= 500
ANSWERS  ?= 10000000
KILLS    ?= 200
REQUESTS ?= 1000000
TAMPERINGS ?= 8400
GO       ?= go

# The second one is named because ./... passes over directories that begin with a dot.
PACKAGES := ./... ./.ci/testreport
TOOL     := $(GO) tool -modfile=.ci/tools/go.mod
LINT     := $(GO) tool -modfile=.ci/lint/go.mod golangci-lint
GO_FILES := find . \( -name .git -o -name .cache -o -name node_modules \) -prune -o -name '*.go' -print

export TAGS GO PACKAGES

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench gobench simulation oracle wire audit-kills tampering audit-cost fuzz coverage fmt fmt-check vet staticcheck tidy-check gofumpt-check golangci govulncheck bench-test clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build Caddy with the Tableau modules into bin/caddy
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/caddy

demo: ## run the proxy against a simulated Tableau, on loopback
	@$(GO) build -tags $(TAGS) -o $(BIN) ./cmd/caddy && exec $(BIN) tableau demo

test: ## every check and every test, with the race detector
	@bash .ci/test

lint: fmt-check gofumpt-check vet staticcheck golangci govulncheck ## the linters and the vulnerability check

bench: build ## the benchmark program beside plain Caddy and others, in 5 minutes; LONG=1 writes docs/reports
	$(GO) -C bench build -o ../bin/bench .
	bin/bench -caddy $(BIN) $(if $(LONG),-long -report docs/reports,-report .cache/bench)

# bench is a module of its own, so that what it draws with is no dependency of the product.
bench-test:
	$(GO) -C bench test ./...

gobench: ## the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -tags $(TAGS) ./...

# With 10000 seeds it is the campaign of docs/reports/simulation.md, six minutes of processor time.
simulation: ## SEEDS simulated days of the session engine (default 500); REPORT=file writes the counts
	$(GO) test -tags $(TAGS) -run '^TestSimulation$$' -timeout 2h ./tableauauth -args -simulation.seeds=$(SEEDS) $(if $(REPORT),-simulation.report=$(abspath $(REPORT)))

# The campaign of docs/reports/oracle.md, half an hour on two cores.
oracle: ## ANSWERS checked answers of the cross-user oracle (default 10000000); REPORT=file writes the counts
	$(GO) test -tags $(TAGS) -v -run '^TestCrossUserOracle$$' -timeout 6h ./tableauauth -args -oracle.answers=$(ANSWERS) $(if $(REPORT),-oracle.report=$(abspath $(REPORT)))

wire: ## every hostile request of e2e/wire (a sample is in make test), with docs/reports/wire.md
	$(GO) test -tags $(TAGS) -count=1 ./e2e/wire -run '^TestCorpus$$' -wire.all -wire.report=docs/reports/wire.md

# With 200 kills and 1000000 requests it is the campaign of docs/reports/audit-kills.md.
audit-kills: ## KILLS (default 200) of the proxy under REQUESTS (default 1000000) in all, and whether the audit file has everything; REPORT=file writes the counts
	$(GO) test -tags $(TAGS) -count=1 -v -run '^TestNothingLeavesWithoutARecordWhateverKillsTheProxy$$' -timeout 3h ./e2e -args -audit.kills=$(KILLS) -audit.requests=$(REQUESTS) $(if $(REPORT),-audit.report=$(abspath $(REPORT)))

tampering: ## TAMPERINGS (default 8400) of audit files, and whether each is found; REPORT=file writes the counts
	AUDITLOG_TAMPERINGS=$(TAMPERINGS) AUDITLOG_REPORT=$(if $(REPORT),$(abspath $(REPORT))) $(GO) test -tags $(TAGS) -count=1 -v -run '^TestEveryTamperingIsFound$$' -timeout 1h ./auditlog

# Three minutes.
audit-cost: ## what an audit file costs in each mode, beside none; REPORT=file writes the ratios
	$(GO) test -tags $(TAGS) -count=1 -v -run '^TestAuditCost$$' -timeout 10m ./caddymodule -args -audit.cost $(if $(REPORT),-audit.report=$(abspath $(REPORT)))

fuzz: ## each fuzz target for FUZZTIME (default 20s)
	@FUZZTIME=$(FUZZTIME) bash .ci/fuzz

coverage: ## fail if the code that guards credentials has less than 97 % of its statements covered
	@bash .ci/coverage

fmt: ## format the Go files
	@$(GO_FILES) | xargs $(TOOL) gofumpt -w
	@$(LINT) fmt

tidy-check: ## fail if go.mod or go.sum is not tidy
	$(GO) mod tidy -diff
	$(GO) -C bench mod tidy -diff

clean: ## remove what was built and what the tests installed
	rm -rf bin dist .cache

fmt-check:
	@files="$$($(GO_FILES) | xargs gofmt -l)"; \
	if [ -n "$$files" ]; then echo "not formatted (make fmt):"; echo "$$files"; exit 1; fi

gofumpt-check:
	@files="$$($(GO_FILES) | xargs $(TOOL) gofumpt -l)"; \
	if [ -n "$$files" ]; then echo "not formatted by gofumpt (make fmt):"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet -tags $(TAGS) $(PACKAGES)
	$(GO) -C bench vet ./...

staticcheck:
	$(TOOL) staticcheck -tags $(TAGS) $(PACKAGES)
	$(GO) -C bench tool -modfile=../.ci/tools/go.mod staticcheck ./...

golangci:
	$(LINT) run $(PACKAGES)
	$(GO) -C bench tool -modfile=../.ci/lint/go.mod golangci-lint run ./...

govulncheck:
	@bash .ci/govulncheck
