# Each target is one command, so that it can be read here and typed by hand.
modules = . examples internal/integration internal/benchmarks
staticcheck = tool -modfile=$(CURDIR)/internal/tools/go.mod staticcheck

.PHONY: test race lint fuzz ratios tour images soak check

tour: ; go run ./examples/tour
test: ; go test work
race: ; GOWORK=off go test -race ./...
lint: ; set -e; for m in $(modules); do GOWORK=off go -C $$m $(staticcheck) ./...; done
check: ; .ci/run

# make fuzz P=./lock/redislock F=FuzzKey
fuzz: ; GOWORK=off go test -run '^$$' -fuzz '^$(F)$$' -fuzztime 60s $(P)

# make ratios, or one concept: make ratios C=lock
ratios: ; GOWORK=off go -C internal/benchmarks run ./cmd/ratios $(C)

# Images for the container tests, where no registry is reachable: eval "$(make -s images)"
images: ; @go -C internal/integration run ./images

# The tests under faults with their full counts: two hours or so.
soak: ; CONCORD_TRIALS=1000 go test -p 1 -count=1 -timeout 3h ./internal/integration/lock ./internal/integration/election
