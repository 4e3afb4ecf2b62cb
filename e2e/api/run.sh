#!/usr/bin/env bash
# Tests both services by their OpenAPI documents: schemathesis sends what the documents allow and what they do not, and
# looks for answers that they do not describe. Both run as processes, on free ports and in folders of their own.
#
#   e2e/api/run.sh                  both services; a minute
#   e2e/api/run.sh --seed NUMBER    other requests
#
# Needs Python with schemathesis and openapi-spec-validator (./test.sh --only api brings them), and Rust.
set -euo pipefail
cd "$(dirname "$0")/../.."

die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; }

# start NAME ARGUMENT...: starts a service, waits until it listens and prints its URL.
start() {
  local name=$1 folder=$work/$1 address='' pid
  shift
  mkdir "$folder"
  "$built/$name" --listen 127.0.0.1:0 --drain-delay 0s --log-format json --data-dir "$folder" "$@" >"$folder.log" 2>&1 &
  pid=$!
  printf '%s\n' "$pid" >>"$work/pids"
  while [ -z "$address" ]; do
    kill -0 "$pid" 2>/dev/null || die "$name ended: $(tail -n 1 "$folder.log")"
    address=$(sed -n '/"message":"listening"/s/.*"address":"\([^"]*\)".*/\1/p' "$folder.log")
    sleep 0.05
  done
  url=http://$address
}

# test_by_document NAME URL: the document is OpenAPI 3.1, and the service what it says.
test_by_document() {
  python3 -m openapi_spec_validator --schema 3.1.0 "docs/openapi/$1.json"
  python3 -m schemathesis.cli --config-file e2e/api/schemathesis.toml run "docs/openapi/$1.json" --url "$2" \
    --no-color --max-time "$seconds" --seed "$seed"
}

seed=20261125 seconds=25
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit ;;
    --seed) [ $# -ge 2 ] || die "--seed needs a number"; seed=$2; shift ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

cargo build -q --locked -p custom-app -p log-agent
built=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
finish() {
  [ ! -e "$work/pids" ] || xargs kill <"$work/pids" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap finish EXIT
start log-agent
export LOG_AGENT_URL=$url
start custom-app --log-agent-url "$LOG_AGENT_URL"
test_by_document log-agent "$LOG_AGENT_URL"
test_by_document custom-app "$url"
