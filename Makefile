# Verbatim. `make help` lists the targets.
GO      ?= go
BIN     := bin
SMOLLM  := models/cache/smollm2-135m-instruct-q4_1.gguf
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
export CGO_ENABLED = 0

.PHONY: help demo build test check fmt vet tidy cross race fuzz bench bench-kernels oracle generate generated ptxas models e2e soak determinism gpu-kit gpu-check deploy-check clean

help: ## this list
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

demo: build ## a local network, a process that asks a model, receipts verified, a forgery refused
	$(BIN)/verbatim demo

build: ## bin/verbatim and bin/verbatim-verify
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/verbatim ./cmd/verbatim-verify

test: ## unit tests (quick; with VERBATIM_SHARED=DIR also those that need reference models)
	$(GO) test ./...

check: fmt vet tidy cross ## what a contributor must remember: format, vet, the rules of the house, cross-builds

fmt:
	@out=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$out" || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }

vet:
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./kernels/...

tidy: ## import table, confinement, determinism rules (internal/tidy)
	$(GO) test -count=1 ./internal/tidy

cross: ## the binary builds for amd64 v1 and v3, for arm64, and without assembly
	GOARCH=amd64 GOAMD64=v1 $(GO) build -o /dev/null ./cmd/verbatim
	GOARCH=amd64 GOAMD64=v3 $(GO) build -o /dev/null ./cmd/verbatim
	GOARCH=arm64 $(GO) build -o /dev/null ./cmd/verbatim
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/verbatim
	$(GO) build -tags purego -o /dev/null ./cmd/verbatim

race: ## unit tests under the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race ./...

fuzz: ## every fuzz target for TIME (default 30s) each
	@internal/fuzz.sh $(or $(TIME),30s)

bench: build ## how fast the engine is here (PEER=node-llama-cpp or a llama-bench to compare with; bench/README.md tells more)
	$(BIN)/verbatim bench engine --model models/embedded/stories.gguf --scale 0.1 $(if $(PEER),--peer '$(PEER)')
	@test ! -f $(SMOLLM) || $(BIN)/verbatim bench engine --model $(SMOLLM) --scale 0.25 $(if $(PEER),--peer '$(PEER)')

bench-kernels: ## every operator on every CPU level, as a share of the machine's limits
	$(GO) test -run '^$$' -bench . -benchtime 1x ./kernels/cpu

oracle: ## the engine's logits against a float64 evaluation with gorgonia, by format (builds for minutes the first time)
	cd bench/oracle && $(GO) test -count=1 -v .

generate: ## assembly, PTX (needs clang-19), the storyteller module, tables of characters
	$(GO) generate ./...

generated: ## what is generated is what is committed: assembly and PTX
	cd kernels/cpu/gen && $(GO) test .
	$(GO) generate ./kernels/...
	git diff --exit-code --stat -- kernels

ptxas: ## registers, spills and occupancy of the CUDA kernels (fetches ptxas from Debian)
	@kernels/cuda/ptxas.sh

models: build ## fetches a real instruct model for the longer tests (98 MB)
	@models/fetch.sh

e2e: build ## other people's software against ours (needs node, npm; arm64 runs under qemu-user)
	@e2e/run.sh

soak: build ## 100,000 messages to 100 processes, with kill -9 and a failing network, as undisturbed (hours on a small machine)
	@e2e/soak/run.sh long

determinism: models ## fifty prompts of a real model at every level, thread count and batch: one digest each
	$(BIN)/verbatim bench determinism --model $(SMOLLM)

KIT := $(BIN)/gpu-kit
gpu-kit: build ## one folder (below 60 MiB) that checks and measures the NVIDIA cards of any x86-64 machine: KIT/check.sh
	@mkdir -p $(KIT)
	cp $(BIN)/verbatim bench/gpu-check.sh $(KIT)/
	mv $(KIT)/gpu-check.sh $(KIT)/check.sh
	$(GO) test -c -trimpath -ldflags '-s -w' -o $(KIT)/conformance ./kernels/cuda
	@test $$(du -sm $(KIT)/verbatim $(KIT)/conformance | awk '{n += $$1} END {print n}') -le 60 || { echo "the kit is larger than 60 MiB"; exit 1; }
	@du -shc $(KIT)/*

gpu-check: gpu-kit ## conformance, determinism and speed of this machine's NVIDIA cards
	$(KIT)/check.sh

deploy-check: ## each line of Dockerfile.cuda in a chroot (root, debootstrap)
	deploy/check.sh

clean: ## removes what was built
	rm -rf $(BIN)
