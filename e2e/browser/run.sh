#!/usr/bin/env bash
# Tests the console in a real browser, against a running mesh.
#
#   e2e/browser/run.sh BASE_URL                     all tests, e.g. http://127.0.0.1:8080
#   e2e/browser/run.sh BASE_URL --screenshot FILE   no tests: one entry sent, and the page as a PNG, 1280 px wide
#   e2e/browser/run.sh --unit                       only what needs neither browser nor mesh
#
# Needs Node.js 20 and Chromium ($CHROMIUM, else /usr/bin/chromium); what npm brings is fixed in package-lock.json.
set -euo pipefail
started_in=$PWD
cd "$(dirname "$0")"

die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; }
wrong() { printf 'run.sh: %s\n' "$1" >&2; usage >&2; exit 2; }

packages() {
  command -v npm >/dev/null || die "npm is not installed: apt-get install npm"
  [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent
}

mesh() {
  local text
  text=$(curl -fsS --max-time 10 "$BASE_URL/") || die "nothing answers at $BASE_URL: start the mesh first (./deploy.sh --local)"
  [[ $text == Faultline* ]] || die "what answers at $BASE_URL is not Faultline's front page"
}

unit='' screenshot=''
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit ;;
    --unit) unit=1 ;;
    --screenshot) [ $# -ge 2 ] || wrong "--screenshot needs a file"; screenshot=$2; shift ;;
    http://*|https://*) export BASE_URL=${1%/} ;;
    *) wrong "unknown argument $1" ;;
  esac
  shift
done

command -v node >/dev/null || die "Node.js is not installed: see https://nodejs.org"
if [ -n "$unit" ]; then exec node --test unit/*.test.js; fi
[ -n "${BASE_URL:-}" ] || wrong "BASE_URL is missing"
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
[ -x "$CHROMIUM" ] || die "no browser at $CHROMIUM: apt-get install chromium, or name one in CHROMIUM"
packages
mesh
if [ -n "$screenshot" ]; then
  case $screenshot in /*) ;; *) screenshot=$started_in/$screenshot ;; esac
  exec node screenshot.js "$screenshot"
fi
# One file after another: the mesh is one, and a test fills its gateway on purpose.
exec node --test --test-concurrency=1 unit/*.test.js console/*.test.js
