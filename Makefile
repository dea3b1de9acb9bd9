# Sluice. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(SLUICE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice)
STACK := testsuite/stack/stack
PLATFORM := testsuite/platform/platform
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -s -w -X sluice/internal/version.Version=$(VERSION) -X sluice/internal/version.Commit=$(COMMIT)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# --- build and check, without root ---------------------------------------------

.PHONY: build
build: ## bin/sluice, the command line
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

.PHONY: java
java: ## the primer and the test jobs
	@mvn -q -B -f java/pom.xml package

.PHONY: generate
generate: ## everything that is generated from api/openapi.yaml
	@go generate ./api/... ./internal/apiclient/...

.PHONY: check
check: ## format, vet, lint, workflowcheck, generated files, unit and flow tests, replay
	@testsuite/check

.PHONY: unit
unit: ## unit and flow tests and replay
	@go test ./...

# --- the real servers (root, Debian) -------------------------------------------

.PHONY: preflight stack-up stack-down stack-purge stack-status images
preflight: ## what stack-up would change on this machine, or why it refuses
	@$(STACK) preflight
stack-up: ## Kubernetes, Temporal, MariaDB, HDFS, engine images
	@$(STACK) up
stack-down: ## stop them; no process, mount, interface, rule or cgroup is left, their data is
	@$(STACK) down
stack-purge: ## stop them and forget their data too
	@$(STACK) down --purge
stack-status: ## what runs where
	@$(STACK) status
images: java ## OCI archives of all images in ./bin/images
	@$(STACK) images --oci bin/images

.PHONY: platform-up platform-down
platform-up: java ## build the images and run api and worker in the cluster
	@$(STACK) images
	@$(PLATFORM) up
platform-down: ## remove them
	@$(PLATFORM) down

# --- shows, tests and measures on the real servers -------------------------------

.PHONY: demo
demo: ## from a bare machine to an upgrade whose worker is killed, with proof
	@testsuite/demo

.PHONY: test
test: ## everything: unit, flow, contract, scenarios; a table of where the time went: [STORIES="upgrade-warm busy-409": just these]
	@testsuite/all $(STORIES)

.PHONY: bugs
bugs: ## seeded bugs: each breaks a safety promise, and a test must go red
	@testsuite/faults/bugs/run

.PHONY: scenario
scenario: ## list the scenarios, or run some: make scenario NAME=upgrade-warm
	@testsuite/scenario/run $(NAME)

.PHONY: rules
rules: ## the alert rules of deploy/monitoring, tested by promtool (needs Debian's archive once, no root)
	@testsuite/rules

.PHONY: rbac
rbac: ## every right of the platform was used, and no request refused: the audit log says (after the scenarios)
	@eval "$$($(STACK) env)" && go run ./testsuite/audit/cmd/rbac $(if $(SINCE),-since $(SINCE))

.PHONY: bench-upgrade
bench-upgrade: ## against a plain script that makes the same calls; fails over its targets: [PAIRS=10] [STATE=1GiB] [OUTPUT=json]
	@testsuite/bench/run $(if $(STATE),-s $(STATE)) $(if $(OUTPUT),-o $(OUTPUT)) $(PAIRS)
