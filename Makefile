# drover. `make` alone shows what can be made.

# Outside the clone, so that a fresh clone builds fast; set it to choose another place.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/drover/target

cluster := e2e/testbed/cluster

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build image demo test e2e soak fuzz bench docs cluster-up cluster-down

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do printf '  make %-13s %s\n' "$$target" "$$text"; done

setup: ## install what builds and tests need from the system's packages
	@packaging/setup

setup-tests: # what the tests need besides: databases, and a browser
	@packaging/setup --tests

build: setup ## build the release binaries, and say where they are
	@cargo build --release --locked --workspace --bin drover --bin drover-errands
	@echo "the release binaries are drover and drover-errands in $(CARGO_TARGET_DIR)/release"

image: build ## make the release image, as an archive that docker, ctr and kind load
	@packaging/image

demo: setup ## from nothing to a web app that answers, deployed by a git push; then two bad pushes
	@e2e/demo/run

test: setup-tests ## run all tests: formatting, lints, units, chart, and end to end on a real cluster
	@.ci/test

e2e: setup-tests ## run only the end-to-end tests; ONLY=name runs those whose name contains it
	@cargo test --locked --workspace --test e2e -- $(ONLY)

soak: setup-tests ## run the long campaigns, which print their figures; ONLY=name runs those whose name contains it, ONLY=uploads the slow ones, ONLY=autoreduction 200 runs with workers killed
	@case "$(ONLY)" in '' | uploads) JACOW_UPLOAD_SECONDS=150 cargo test --locked --workspace --test e2e -- jacow:: ;; esac
	@case "$(ONLY)" in '' | autoreduction) AUTOREDUCTION_RUNS=200 AUTOREDUCTION_KILLS=20 cargo test --locked --workspace --test e2e -- autoreduction:: --nocapture ;; esac
	@case "$(ONLY)" in uploads | autoreduction) ;; *) cargo test --locked --workspace --test soak -- --nocapture --test-threads 1 $(ONLY) ;; esac

fuzz: setup ## throw made-up input at every parser, 10 minutes each; FUZZ_SECONDS=60 for less, ONLY=name for one
	@fuzz/run $(ONLY)

bench: setup-tests ## measure the release build on a control plane, and print a table; ONLY=folders, large, apps, queues, failing, sync, front or backup for a part
	@cargo build --quiet --release --locked --workspace --bin drover --bin drover-errands --bin bench
	@case "$(ONLY)" in '' | sync) $(cluster) build versitygw rclone || true ;; esac
	@PATH="$${TESTBED_BIN:-$(HOME)/.cache/drover/testbed/bin}:$$PATH" DROVER_BIN=$(CARGO_TARGET_DIR)/release/drover \
	  $(CARGO_TARGET_DIR)/release/bench $(ONLY)

docs: setup ## write the generated files anew: definitions, plain install, reference
	@$(cluster) build
	@packaging/generate

cluster-up: setup ## start a real cluster and a git server, and print how to use them
	@$(cluster) up --node
	@$(cluster) addons
	@eval "$$($(cluster) env)" && GITSERVER_ADDR=$$TESTBED_HOST_IP e2e/testbed/gitserver up
	@$(cluster) env

# The default one, and those that some tests and campaigns have for themselves.
cluster-down: ## stop both, and leave nothing behind
	@for number in $${TESTBED:-0} 3 4 5 6 47 50 51 52 53 56 57 58 59; do \
	  TESTBED=$$number e2e/testbed/gitserver down && TESTBED=$$number $(cluster) down; done
