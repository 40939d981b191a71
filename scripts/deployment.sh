#!/usr/bin/env bash
# Runs the shape of a deployment for real: Temporal's server on PostgreSQL with four history shards, two APIs, two workers, Redis.
# The core of the REST tests, the short fault suite and the bench's action row, one after the other; about 15 minutes, and the first
# time some 4 more to build the server. FAULT_MINUTES: how long the fault suite goes on (default 3).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TEST_SHAPE=deployment
failed=0

step() {
  printf '\n== %s\n' "$*"
  "$@" || { printf '== failed: %s\n' "$*"; failed=1; }
}

core=(actions check-lock leases agent-run approvals denials doubt kill tools audit isolation)
step npx --no-install vitest run "${core[@]/#/test/rest/}"
FAULT_MINUTES=${FAULT_MINUTES:-3} step npx --no-install vitest run --config vitest.faults.config.ts test/faults/suite.test.ts
step node dist/bench/main.js --only 'governed action' --alone
exit "$failed"
