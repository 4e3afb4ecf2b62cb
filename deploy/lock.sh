# shellcheck shell=bash disable=SC2034,SC2154  # the parts of deploy.sh share their variables
# Two deployments at once must not interleave, wherever each was started: a Lease in Faultline's own
# namespace, made by whoever comes first. It goes with the namespace, so nothing stays behind.

lease=faultline-deploy
holder=$(hostname):$$
locked=''

# Sets lock_holder and lock_since (both empty when nobody holds it).
find_lock() {
  local found
  lock_holder='' lock_since='' lock_version=''
  found=$(ask -n "$namespace" get lease "$lease" --ignore-not-found \
    -o 'jsonpath={.spec.holderIdentity} {.spec.acquireTime} {.metadata.resourceVersion}')
  [ -z "$found" ] || read -r lock_holder lock_since lock_version <<<"$found"
}

# A holder on this machine whose process is gone left the lock behind: killed, or the machine restarted.
lock_abandoned() {
  [ "${lock_holder%:*}" = "$(hostname)" ] && ! kill -0 "${lock_holder##*:}" 2>/dev/null
}

refuse_if_locked() {
  find_lock
  if [ -n "$lock_holder" ] && ! lock_abandoned; then
    die "another deployment ($lock_holder) has been at work in the namespace $namespace since $lock_since" \
      "Wait for it; or, if you know that it is dead: kubectl -n $namespace delete lease $lease"
  fi
}

lock() {
  if [ "$namespace_state" = absent ]; then
    changed=yes
    # With its labels from the start: killed here, the next run must know the namespace as Faultline's.
    quietly kubectl apply -f - <<EOF ||
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    istio-injection: enabled
    ${part_of%=*}: ${part_of#*=}
EOF
      die "the namespace $namespace could not be made"
  fi
  take_lock
}

# For --delete: no namespace, no lock needed.
lock_if_there() { [ "$namespace_state" != ours ] || take_lock; }

take_lock() {
  refuse_if_locked
  # `replace` with the version that was seen: of two that find the same abandoned lock, one wins.
  local verb=create
  [ -z "$lock_version" ] || verb=replace
  quietly kubectl "$verb" -f - <<EOF || { refuse_if_locked; die "the lock ($lease in $namespace) could not be taken"; }
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: $lease
  namespace: $namespace
  ${lock_version:+resourceVersion: \"$lock_version\"}
spec:
  holderIdentity: $holder
  acquireTime: "$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)"
EOF
  locked=yes changed=yes
}

unlock() {
  [ -n "$locked" ] || return 0
  kube -n "$namespace" delete lease "$lease" --ignore-not-found >>"$log" 2>&1 || true
}
