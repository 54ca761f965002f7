#!/usr/bin/env bash
# A day of messages through a daemon that is killed while its network fails; every result, memory and receipt as undisturbed.
#   e2e/soak/run.sh          the short form: a minute or two
#   e2e/soak/run.sh long     100,000 messages to 100 processes (make soak)
# Options of the program come after that, for example: e2e/soak/run.sh long -seed 7 -at-most 10m
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(mktemp -d); trap 'rm -rf "$program"' EXIT
go build -o "$program/soak" ./e2e/soak
if [ "${1:-short}" = long ]; then
  shift
  "$program/soak" "$@"
else
  [ $# = 0 ] || shift
  "$program/soak" -messages 300 -processes 12 -span 25s -kill-every 5s -outage-every 4s -failures 15 "$@"
fi
