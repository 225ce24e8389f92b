# Everything a contributor runs. `make help` lists the targets.

GO       ?= go
BIN      := $(CURDIR)/bin
FUZZTIME ?= 20s
# Arguments for the benchmark, e.g. BENCH="-rounds 1 -systems postfix,waypost-unsigned".
BENCH    ?=

# The tools are built once for each state of their own module.
TOOLS := $(BIN)/tools-$(shell cat tools/go.mod tools/go.sum | sha256sum | cut -c1-16)
export PATH := $(TOOLS):$(PATH)

# The end-to-end tests run the binary as users do, so not under the race detector.
E2E      = $(shell $(GO) list ./... | grep -E '/e2e(/|$$)')
# Tests of these are shortened under the race detector and run whole without it.
LONG     = ./internal/queue/ ./internal/panel/ ./internal/account/
PACKAGES = $(shell $(GO) list ./... | grep -vE '/e2e(/|$$)')

.DEFAULT_GOAL := help
.PHONY: help build build-static run test test-deps check fmt fmt-check tidy-check vet \
	lint generate generate-check deadcode fuzz bench screenshots pictures tools clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/waypost (uses libcrypto at run time where there is one)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/waypost ./cmd/waypost

build-static: ## Build bin/waypost-static: no shared library at all, crypto/rsa signs
	CGO_ENABLED=0 $(GO) build -trimpath -tags static -ldflags '-s -w' -o $(BIN)/waypost-static ./cmd/waypost

run: ## Run the gateway with its data in ./waypost-data
	$(GO) run ./cmd/waypost serve

test: test-deps ## Install what the tests need, then run them all
	$(GO) test -race -short -shuffle=on -timeout 10m $(PACKAGES)
	$(GO) test -shuffle=on -timeout 10m $(LONG)
	$(if $(E2E),$(GO) test -shuffle=on -timeout 20m $(E2E))

test-deps: ## Install what the tests need and is missing
	scripts/test-deps

check: fmt-check tidy-check vet lint generate-check deadcode ## All checks but the tests

fmt: tools ## Format the code
	gofumpt -w .

fmt-check: tools
	@files=$$(gofumpt -l .) && if [ -n "$$files" ]; then echo "run make fmt:" >&2; echo "$$files" >&2; exit 1; fi

tidy-check:
	$(GO) mod tidy -diff

vet:
	$(GO) vet ./...
	$(GO) vet -tags static ./...
	$(GO) vet -tags pictures ./e2e

lint: tools ## Run the linters of .golangci.yml
	golangci-lint run ./...

generate: tools ## Regenerate generated code (//go:generate lines)
	$(GO) generate ./...

generate-check: tools
	scripts/check-generated

deadcode: tools ## Find functions that nothing reaches
	scripts/check-deadcode

fuzz: ## Run every fuzz target for FUZZTIME (20s)
	scripts/fuzz $(FUZZTIME)

bench: build test-deps ## Measure against Postfix and Postfix+OpenDKIM (as root, ~15 minutes)
	$(GO) build -o $(BIN)/bench ./bench
	$(BIN)/bench -waypost $(BIN)/waypost $(BENCH)

screenshots: test-deps ## Take pictures of every page of the panel into bin/screenshots
	mkdir -p $(BIN)/screenshots
	WAYPOST_SCREENSHOTS=$(BIN)/screenshots $(GO) test -tags pictures -count=1 -run Screenshots ./e2e

pictures: screenshots ## Renew the pictures of the documentation from the screenshots
	WAYPOST_SCREENSHOTS=$(BIN)/screenshots WAYPOST_PICTURES=$(CURDIR)/docs/pictures $(GO) test -tags pictures -count=1 -run PicturesOfTheDocumentation ./e2e

tools: $(TOOLS)/.built ## Build the linters and generators into bin/

$(TOOLS)/.built: tools/go.mod tools/go.sum
	rm -rf $(BIN)/tools-*
	cd tools && GOBIN=$(TOOLS) $(GO) install tool
	touch $@

clean: ## Remove what was built
	rm -rf $(BIN)
