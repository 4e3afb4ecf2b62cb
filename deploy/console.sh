# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# What the person sees: numbered steps with their times, one clear sentence on failure, nothing else.
# The output of every command goes into a log, which is shown and kept only when something fails.

step_number=0 steps=0 step_title='' step_began=0
changed=''        # set before the first thing is changed on the cluster
scratch='' log=''

open_console() {
  bold='' dim='' red='' yellow='' reset='' terminal=''
  if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    terminal=yes
    if [ -z "${NO_COLOR:-}" ]; then
      bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' yellow=$'\e[33m' reset=$'\e[0m'
    fi
  fi
  mkdir -p "$root/target/deploy"
  # Inside the repository: kustomize takes a base only by a path relative to it.
  scratch=$root/target/deploy/run.$$
  log=$scratch.log
  tidy
  mkdir "$scratch"
  : >"$log"
  trap close_console EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# What runs that were killed could not take away, and logs of failures older than a day.
tidy() {
  local old
  for old in "$root"/target/deploy/run.*[0-9]; do
    if [ -d "$old" ] && { [ "$old" = "$scratch" ] || ! kill -0 "${old##*.}" 2>/dev/null; }; then rm -rf "$old"; fi
  done
  find "$root/target/deploy" -name 'run.*.log' -mtime +0 -delete
}

close_console() {
  local code=$?
  trap - EXIT INT TERM HUP
  if [ "$code" != 0 ]; then
    case $code in
      130|143) [ -e "$scratch/told" ] || complain "stopped by a signal${step_title:+ in step \"$step_title\"}" ;;
      *) [ -e "$scratch/told" ] || complain "step \"$step_title\" failed unexpectedly (exit code $code)" ;;
    esac
    [ "$mode" = status ] || show_log
    if [ "$mode" = deploy ] && [ -n "$changed" ]; then
      printf '%s\n' "What was applied stays as it is. Run the same command again to go on, or ./deploy.sh --delete to remove it." >&2
    elif [ "$mode" = deploy ]; then
      printf '%s\n' "Nothing was changed on the cluster." >&2
    fi
  fi
  unlock
  rm -rf "$scratch"
  if [ "$code" = 0 ] || [ ! -s "$log" ]; then rm -f "$log"; fi
  exit "$code"
}

# step TITLE: begins a numbered step; ok ends it.
step() {
  step_number=$((step_number + 1)) step_title=$1 step_began=$SECONDS
  printf '\n== %s\n' "$1" >>"$log"
  [ -z "$terminal" ] || printf '%s%d/%d%s  %-7s …' "$bold" "$step_number" "$steps" "$reset" "$1"
}

# ok DETAIL: the step is done; one line says what came of it and how long it took.
ok() {
  clear_line
  printf '%s%d/%d%s  %-7s %4d s  %s\n' "$bold" "$step_number" "$steps" "$reset" "$step_title" \
    $((SECONDS - step_began)) "$1"
}

clear_line() { [ -z "$terminal" ] || printf '\r\e[K'; }

note() {
  clear_line
  printf '%s\n' "$1"
}

warn() {
  clear_line
  printf '%swarning:%s %s\n' "$yellow" "$reset" "$1" >&2
}

complain() {
  clear_line
  printf '%s%s:%s %s\n' "$red" "${script_name:-deploy.sh}" "$reset" "$1" >&2
  : >"$scratch/told"   # a file, since a subshell may be the one that complains
}

# die SENTENCE [NEXT]: what is wrong, and what to do about it.
die() {
  complain "$1"
  [ $# -lt 2 ] || printf '%s\n' "$2" >&2
  exit 1
}

# quietly COMMAND...: its output goes into the log.
quietly() {
  printf '$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1
}

# The end of the log, from the step that failed.
show_log() {
  local lines
  lines=$(awk '/^== /{text=""; next} {text=text "  " $0 "\n"} END{printf "%s", text}' "$log" | tail -n 15)
  [ -z "$lines" ] || printf '%s%s%s\nAll of it: %s\n' "$dim" "$lines" "$reset" "$log" >&2
}

# until_true SECONDS COMMAND...: repeats it until it succeeds; fails when the time is over.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}
