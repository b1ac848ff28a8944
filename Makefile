.PHONY: help demo test build bench road crashes storm sim sim-faults check fmt
PART ?= reports
CYCLES ?= 1000
SEED ?= 1
.DEFAULT_GOAL := help

help: ## what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## start a server with two sample missions, and say what to try
	@scripts/setup.sh build
	@echo "demo: building the programs; the first time takes some minutes"
	@cargo build --release --locked --bins
	@cargo run --release --locked --quiet --bin demo

test: ## everything that must hold before a change goes in: lints, then all tests on both databases
	@scripts/setup.sh test
	@scripts/check.sh
	@scripts/test.sh

build: ## leave the release binaries scrutineer and observer in target/release
	@scripts/setup.sh build
	cargo build --release --locked --bin scrutineer --bin observer

bench: ## measure both databases; the figures stand in docs/benchmarks.md
	@scripts/setup.sh bench
	@echo "bench: leave the machine alone meanwhile, or the figures mean nothing"
	@cargo build --release --locked --bins
	@cargo run --release --locked --quiet --bin bench

road: ## measure what reports, or with PART=file a file of 500 MB, cost on a bad line
	@scripts/setup.sh bench
	@cargo build --release --locked --bins
	@cargo run --release --locked --quiet --bin road -- --part $(PART)

crashes: ## kill phones and server CYCLES=1000 times on each database and count what is lost (SEED=1)
	@scripts/setup.sh bench
	@cargo build --release --locked --bins
	@cargo run --release --locked --quiet --bin crashes -- --cycles $(CYCLES) --seed $(SEED)

storm: ## let 113,000 phones come back at once, in virtual time, and draw the curve
	@scripts/setup.sh bench
	@cargo run --release --locked --quiet --bin storm -- --seed $(SEED) --picture docs/return-after-shutdown.svg

SEEDS ?= 1000
SEED_START ?= 1
sim: ## run simulated stories, SEEDS=… from SEED_START=… on; docs/reliability.md
	@scripts/setup.sh build
	@cargo build --release --locked --quiet -p tests --bin sim
	@target/release/sim --seeds $(SEEDS) --start $(SEED_START)

sim-faults: SEEDS = 2000
sim-faults: ## plant faults one by one, and see that the simulator catches each
	@scripts/setup.sh build
	@cargo build --release --locked --quiet -p tests --bin sim --features planted
	@target/release/sim --faults --seeds $(SEEDS) --start $(SEED_START)

check: ## formatting, lints, and what the dependencies bring in
	@scripts/setup.sh build
	@scripts/check.sh

fmt: ## format the Rust code
	cargo fmt --all
