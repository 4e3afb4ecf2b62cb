# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# Two deployments at once must not interleave, wherever each was started. The lock is a Lease in Faultline's own
# namespace, used as Kubernetes' controllers use theirs: its holder renews it for as long as the run lives, and it
# is abandoned once it has stayed as it is for its whole duration, by the clock of the run that watches it. The times
# in it are for people: two machines' clocks are never compared.

lease=faultline-deploy
lease_duration=30   # seconds
lease_renewal=10    # seconds from one renewal to the next
locked='' holder='' abandoned=''

now() { date -u +%Y-%m-%dT%H:%M:%S.000000Z; }

# Sets lock_holder (empty when nobody holds it), lock_since, lock_renewed, lock_duration and lock_version.
find_lock() {
  local found
  lock_holder='' lock_since='' lock_renewed='' lock_duration='' lock_version=''
  found=$(ask -n "$namespace" get lease "$lease" --ignore-not-found \
    -o 'jsonpath={.spec.holderIdentity}{"\n"}{.spec.acquireTime}{"\n"}{.spec.renewTime}{"\n"}{.spec.leaseDurationSeconds}{"\n"}{.metadata.resourceVersion}')
  [ -n "$found" ] || return 0
  { read -r lock_holder; read -r lock_since; read -r lock_renewed; read -r lock_duration; read -r lock_version; } <<<"$found"
}

# Comes back when the lock is free: held by nobody, or abandoned. Whoever sees it renewed is refused.
await_lock() {
  local began=$SECONDS first said=''
  find_lock
  first=$lock_version
  until [ -z "$lock_holder" ] || [ "$lock_version" = "$abandoned" ]; do
    [ "$lock_version" = "$first" ] || die_locked "and renewed its lock just now"
    [[ $lock_duration =~ ^[0-9]+$ ]] || die_locked "with a lock that has no end"
    [ "$lock_duration" -le "$timeout" ] || die_locked "with a lock that lasts $lock_duration s"
    if [ $((SECONDS - began)) -ge "$lock_duration" ]; then abandoned=$lock_version; return; fi
    if [ -z "$said" ]; then
      said=yes
      warn "$lock_holder holds the lock since $lock_since; watching for up to $lock_duration s whether it still renews it"
    fi
    sleep 1
    find_lock
  done
}

die_locked() {
  die "another deployment ($lock_holder) has been at work in the namespace $namespace since $lock_since, $1" \
    "Wait for it to end.${lock_duration:+ Should it be killed, its lock ends $lock_duration s after the last renewal (${lock_renewed:-never}).} If you know that it is dead: kubectl -n $namespace delete lease $lease"
}

lock() {
  if [ "$namespace_state" = absent ]; then
    changed=yes
    # With its labels from the start: killed here, the next run must know the namespace as Faultline's.
    quietly kubectl apply -f - <<YAML ||
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels: $(namespace_labels)
YAML
      die "the namespace $namespace could not be made"
  fi
  take_lock
}

# For --delete: no namespace, no lock needed.
lock_if_there() { [ "$namespace_state" != ours ] || take_lock; }

take_lock() {
  await_lock
  holder=$(id -un)@$(uname -n):$$:$RANDOM$RANDOM
  lock_acquired=$(now)
  # Of two that find the same lock free or abandoned, one creates or replaces it; the other meets its renewals.
  until write_lock; do
    find_lock
    [ -n "$lock_holder" ] || die "the lock ($lease in $namespace) could not be taken"
    await_lock
  done
  locked=yes changed=yes
  keep_lock
}

# Creates the Lease, or replaces the version of it that was seen last (lock_version), and no other.
write_lock() {
  local verb=create
  [ -z "$lock_version" ] || verb=replace
  lock_version=$(kubectl --request-timeout=5s "$verb" --validate=false -f - -o 'jsonpath={.metadata.resourceVersion}' 2>>"$log" <<YAML
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: $lease
  namespace: $namespace
  ${lock_version:+resourceVersion: \"$lock_version\"}
spec:
  holderIdentity: "$holder"
  leaseDurationSeconds: $lease_duration
  acquireTime: "$lock_acquired"
  renewTime: "$(now)"
YAML
  )
}

# Renews the lock in the background until this run ends, however it ends: the pipe's end of file says so, and it is
# open for as long as this process or a command that it has started is alive.
keep_lock() {
  mkfifo "$scratch/alive"
  renew_lock <"$scratch/alive" >>"$log" &
  keeper=$!
  exec 6>"$scratch/alive"
}

renew_lock() {
  local began renewed=$SECONDS code
  while :; do
    began=$SECONDS code=0
    read -r -t "$lease_renewal" _ || code=$?
    # Before version 4, bash tells a timeout from an end of file only by the time that has passed.
    [ "$code" -gt 128 ] || [ $((SECONDS - began)) -ge "$lease_renewal" ] || return 0
    if write_lock || adopt_lock; then
      renewed=$SECONDS
    elif [ $((SECONDS - renewed)) -ge "$lease_duration" ]; then
      lose_lock "the lock could not be renewed for $lease_duration s"
      return
    fi
  done
}

# After a renewal that failed: sets lock_version to what is there, and fails when the cluster does not say.
adopt_lock() {
  local found
  found=$(kubectl --request-timeout=5s -n "$namespace" get lease "$lease" --ignore-not-found \
    -o 'jsonpath={.spec.holderIdentity} {.metadata.resourceVersion}' 2>>"$log") || return 1
  if [ "${found% *}" != "$holder" ]; then
    lose_lock "the lock was taken over${found:+ by ${found% *}}"
    exit
  fi
  lock_version=${found##* }
  write_lock
}

# What comes next must not happen without the lock.
lose_lock() {
  complain "$1: this run stops, since another may be at work"
  kill -TERM $$
}

stop_renewing() {
  [ -n "$locked" ] || return 0
  exec 6>&-
  wait "$keeper" || true
}

# Deletes the Lease as it was seen last, so that a successor's stays.
unlock() {
  [ -n "$locked" ] || return 0
  stop_renewing
  locked=''
  local found
  found=$(kube -n "$namespace" get lease "$lease" --ignore-not-found \
    -o 'jsonpath={.spec.holderIdentity} {.metadata.resourceVersion}' 2>>"$log") || return 0
  [ "${found% *}" = "$holder" ] || return 0
  printf '{"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": "%s"}}' "${found##* }" >"$scratch/release"
  quietly kube delete --raw "/apis/coordination.k8s.io/v1/namespaces/$namespace/leases/$lease" -f "$scratch/release" || true
}
