# Everything a person runs. `make` alone says what there is.
SHELL := /bin/bash
GO ?= go

.DEFAULT_GOAL := help
.PHONY: engine free demo-alone help check test test-long demo prove mutants lint api build bootstrap dist release servers sam invoke fuzz bench bench-raw emulator policies recover contract pictures clean

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# A variable that is misspelt (engine=mysql) would be ignored, and something else be done than was asked for.
VARIABLES := GO GOARCH BUILD HANDLERS HANDLER OUT ENGINE STRATEGY FAIL EVENT FUNCTION FUZZTIME AWS YES VERSION ARGS
$(foreach v,$(filter-out $(VARIABLES) SHELL MAKEFLAGS,$(.VARIABLES)),$(if $(filter command,$(firstword $(origin $(v)))),\
  $(error there is no variable $(v): $(VARIABLES))))

# compile makes one of testutil/cmd, and says so: at the first time, four hundred packages are compiled with it.
compile = @echo "compiling (the first time takes a minute or two) ..."; set -o pipefail; \
  $(GO) build -v -o $(BUILD)/$(1) ./testutil/cmd/$(1) 2>&1 | \
  awk '/^[^ :]+$$/ { if (++n % 50 == 0) print "  " n " packages"; next } { print }'

# one_of stops before anything is compiled where a variable has a value that it cannot have.
one_of = $(if $(filter $(2),$(3)),,$(error $(1)=$($(1)): choose $(3)))

HANDLERS := $(notdir $(wildcard handlers/*))
GOARCH ?= $(shell $(GO) env GOARCH)
BUILD ?= build

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Three tiers of tests, each of every package; package testutil/tier says which test is in which. ARGS goes to go test.
# -timeout is for what hangs, not for what is slow: it has room for a machine that does ten other things.
check: ## test a change in under a minute: all that needs no server
	$(GO) test -short -timeout 20m $(ARGS) ./...

# -vet=off: it has just run. -ldflags=-w leaves out what only a debugger reads, so that each package's tests are linked sooner.
# -p: one package more than there are processors, as many tests wait for a server. What takes longest is begun first, so
# that no processor waits for it at the end.
longest := ./testutil/internal/prove ./strategies/postgres ./testutil/localaws ./strategies/mysql
test: servers ## fetch database servers where they are missing, then test on them (with the race detector, where there is a C compiler)
	$(GO) vet ./...
	@race=-race; \
	[ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) >/dev/null || { race=; echo "no C compiler here: testing without the race detector"; }; \
	set -x; QUARTERTURN_TEST_TIER= $(GO) test $$race -vet=off -ldflags=-w -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) -count=1 -timeout 90m $(ARGS) $(longest) ./...

test-long: servers sam ## test what the two above leave out: every version of every server, SAM and Docker, dist, the AWS CLI, some of make prove
	@$(GO) run ./testutil/cmd/dbservers -only valkey-8,redis-6,redis-7,redis-8,chromium-headless-shell
	QUARTERTURN_TEST_TIER=long $(GO) test -ldflags=-w -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) -count=1 -timeout 90m $(ARGS) $(longest) ./...
	$(call compile,prove)
	@$(BUILD)/prove -newest -trials 20 -rotations 10 -fleet 500 -states -1

demo: engine ## rotate a real password by the real Lambda binary: ENGINE=postgres|mysql|mariadb|valkey|redis STRATEGY=single|superuser|alternating|dual FAIL=permission|password|killed|policy
	$(call one_of,STRATEGY,$(STRATEGY),single superuser alternating dual single-user alternating-users dual-passwords)
	$(if $(FAIL),$(call one_of,FAIL,$(FAIL),permission password killed policy))
	$(call compile,demo)
	@$(GO) run ./testutil/cmd/dbservers -one $(ENGINE)
	@$(BUILD)/demo -engine $(ENGINE) -strategy $(STRATEGY) $(if $(FAIL),-fail $(FAIL)) $(ARGS)
ENGINE ?= $(if $(filter policy,$(FAIL)),mysql,postgres)
STRATEGY ?= single

prove: servers ## try to lock clients out, in every way that we know, and print how often it worked (ARGS="-trials 50" for a quick form)
	@$(GO) run ./testutil/cmd/dbservers -only redis-6
	$(call compile,prove)
	@$(BUILD)/prove $(ARGS)

mutants: ## make small faults in the code, one at a time, and print which of them no test notices (ARGS="-seed 7 -n 300")
	$(call compile,mutants)
	@$(BUILD)/mutants $(ARGS)

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

api: ## write docs/api.txt, the list of the public interface, and the table of checks in docs/preflight.md
	$(GO) test -short ./testutil/internal/projecttest -run 'TestThePublicInterfaceIsListed|TestThePreflightIsDocumented' -update

build: ## build the Lambda binaries into build/<handler>/bootstrap (GOARCH=arm64 for Graviton, HANDLER=postgres-single-user for one)
	$(if $(HANDLER),$(call one_of,HANDLER,$(HANDLER),$(HANDLERS)))
	@echo "compiling the functions as they are deployed (the first time takes a minute or two) ..."
	@for h in $(or $(HANDLER),$(HANDLERS)); do \
	  $(MAKE) --no-print-directory bootstrap HANDLER=$$h GOARCH=$(GOARCH) OUT=$(BUILD)/$$h/bootstrap && \
	  ls -l $(BUILD)/$$h/bootstrap | awk '{printf "%-50s %5.1f MB\n", $$NF, $$5/1e6}' || exit 1; done

# The one place that says how a handler is compiled: for make build, make dist and sam build. Neither the folder nor git
# gets into the binary, so that the same source gives the same bytes. No cgo: the C library here is not Lambda's.
bootstrap:
	@CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) $(GO) build -tags lambda.norpc -trimpath -buildvcs=false -ldflags '-s -w' -o $(OUT) ./handlers/$(HANDLER)

dist: ## pack the functions for both processors into dist: zips, an SBOM for each, plain template, Terraform module, SHA256SUMS
	@for arch in arm64 amd64; do $(MAKE) --no-print-directory build GOARCH=$$arch BUILD=build/dist/$$arch || exit 1; done
	@$(GO) run ./testutil/cmd/dist -from build/dist -to dist

release: ## check that VERSION is ready, then make dist, notes, a statement of provenance and checksums (ARGS=-check: checks alone)
	@$(GO) run ./testutil/cmd/release -version '$(VERSION)' $(ARGS)

sam: ## set up the SAM CLI and cfn-lint, in a Python environment of the project's own, where they are missing
	@$(GO) run ./testutil/cmd/samtools

invoke: ## give a function one event of sam/events, on this machine: make invoke EVENT=preflight FUNCTION=postgres-single-user
	$(call compile,invoke)
	@$(GO) run ./testutil/cmd/dbservers -one postgres
	@$(BUILD)/invoke -function $(FUNCTION) -event $(EVENT) $(ARGS)
FUNCTION ?= postgres-single-user
EVENT ?= preflight

servers: ## fetch the database servers that tests and demo use, where they are missing (npm, and apt without root)
	@$(GO) run ./testutil/cmd/dbservers
	@$(GO) run ./testutil/cmd/dbservers -only pgbouncer,haproxy,valkey-9

emulator: demo-alone engine free build ## run Secrets Manager's emulator with the functions, a database and a secret: ENGINE as for demo (ARGS="-deny secretsmanager:PutSecretValue")
	$(call compile,emulator)
	@$(GO) run ./testutil/cmd/dbservers -one $(ENGINE)
	@$(BUILD)/emulator -engine $(ENGINE) $(ARGS)

# free stops before anything is compiled where something listens already on the address.
free:
	@set -- $(ARGS); at=127.0.0.1:4566; \
	for word; do case $$last in -address|--address) at=$$word;; esac; last=$$word; \
	  case $$word in -address=*|--address=*) at=$${word#*=};; esac; done; \
	if (exec 3<>/dev/tcp/$${at%:*}/$${at##*:}) 2>/dev/null; then \
	  echo "$$at is in use (does an emulator run already?). To choose another: make emulator ARGS=\"-address 127.0.0.1:4567\""; exit 1; fi

# demo-alone stops where STRATEGY was typed for a target that has no use for it.
demo-alone:
	$(if $(filter command,$(origin STRATEGY)),$(error STRATEGY=$(STRATEGY) is for make demo alone: here the ARN that rotate-secret is given chooses the function, and with it the strategy))

# engine stops before anything is compiled where ENGINE is none.
engine:
	$(call one_of,ENGINE,$(firstword $(subst -, ,$(ENGINE))),postgres mysql mariadb valkey redis)

policies: ## print the IAM policies for a rotation, ready to paste (ARGS="--secret ARN --role ARN --function ARN ...")
	@$(GO) run ./cmd/quarterturn policies $(ARGS)

recover: ## carry out what status recommends for a secret (ARGS="app finish"; go run ./cmd/quarterturn --help)
	@$(GO) run ./cmd/quarterturn recover $(ARGS)

contract: ## hold the emulator to what AWS is known to answer, with sources; AWS=1: try it on an account (asks first; YES=1)
	@$(GO) run ./testutil/cmd/contract $(if $(AWS),-aws) $(if $(YES),-yes) $(ARGS)

pictures: ## draw the picture of a preflight again, and take that of the page on all secrets
	$(GO) test ./testutil/internal/samevents -run TestTheRunbookShows -update
	QUARTERTURN_TEST_TIER=long $(GO) test ./cmd/quarterturn -run TestPagesInABrowser -update

fuzz: ## run every fuzz target for FUZZTIME each
	@$(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
	  for f in $$(cat $$dir/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p'); do \
	    echo "== $$f $(FUZZTIME)"; (cd $$dir && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) .) || exit 1; done; done
FUZZTIME ?= 2m

bench: servers ## measure what rotations cost, beside the least that they could: one table, in a few minutes
	$(call compile,bench)
	@env -u AWS_CA_BUNDLE $(BUILD)/bench $(ARGS)

bench-raw: ## every benchmark, for benchstat
	$(GO) test -run '^$$' -bench . -benchmem $(ARGS) ./...

clean: ## remove what was built (the servers stay)
	rm -rf build dist
