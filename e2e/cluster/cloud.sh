#!/usr/bin/env bash
# What a cloud does for a cluster, on one machine. Started by cluster.sh, with KUBECONFIG set:
#   cloud.sh addresses IP...    gives every Service of type LoadBalancer the first of these that no other has
#   cloud.sh volumes FOLDER     gives every PersistentVolumeClaim a folder below FOLDER
set -euo pipefail

addresses() {
  local namespace name type given ip taken
  while read -r namespace name type given; do
    if [ "$type" != LoadBalancer ] || [ -n "$given" ]; then continue; fi
    taken=" $(kubectl get services -A -o 'jsonpath={.items[*].status.loadBalancer.ingress[*].ip}') " || continue
    for ip in "$@"; do
      [[ $taken != *" $ip "* ]] || continue
      kubectl -n "$namespace" patch service "$name" --subresource=status \
        -p "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"$ip\"}]}}}" || true
      break
    done
  done < <(kubectl get services -A --watch \
    -o jsonpath='{.metadata.namespace} {.metadata.name} {.spec.type} {.status.loadBalancer.ingress[0].ip}{"\n"}')
}

volumes() {
  local folder=$1 namespace name uid phase size
  while read -r namespace name uid phase size; do
    if [ "$phase" != Pending ] || kubectl get persistentvolume "pvc-$uid" >/dev/null 2>&1; then continue; fi
    mkdir -p "$folder" && mkdir -m 0777 "$folder/pvc-$uid"   # open: Kubernetes sets no owner on a host path
    kubectl create -f - <<EOF || true
apiVersion: v1
kind: PersistentVolume
metadata: {name: pvc-$uid}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: $size}
  claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: $namespace, name: $name, uid: $uid}
  hostPath: {path: $folder/pvc-$uid, type: Directory}
  persistentVolumeReclaimPolicy: Delete
  storageClassName: standard
EOF
  done < <(kubectl get persistentvolumeclaims -A --watch \
    -o jsonpath='{.metadata.namespace} {.metadata.name} {.metadata.uid} {.status.phase} {.spec.resources.requests.storage}{"\n"}')
}

case ${1:-} in
  addresses|volumes) while true; do "$@"; sleep 1; done ;;   # the API server ends a watch now and then
  *) sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
