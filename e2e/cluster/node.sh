# shellcheck shell=bash disable=SC2154  # the variables are cluster.sh's
# Part of cluster.sh: the node, from its certificates to the last process, and its end.

processes=(etcd apiserver registry guarded containerd controller-manager scheduler policies kubelet proxy addresses volumes)

start_node() {
  rm -rf "$home/registry"; cp -al "$home/images" "$home/registry"
  identities
  registry_identity
  network
  configs
  start etcd etcd --data-dir "$home/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
  start apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address="$node_ip" --secure-port=6443 \
    --service-cluster-ip-range="$service_cidr" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --service-account-key-file="$pki/sa.key" --service-account-signing-key-file="$pki/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
    --kubelet-preferred-address-types=InternalIP   # else logs and exec try to resolve the node's name
  start registry docker-registry serve "$home/registry.yml"
  start guarded docker-registry serve "$home/guarded.yml"
  start containerd containerd -c "$home/containerd.toml"
  wait_for 90 "the API server" kube get --raw /readyz
  start controller-manager "$bin/kube-controller-manager" --kubeconfig="$pki/controller-manager.conf" --leader-elect=false \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
  start scheduler "$bin/kube-scheduler" --kubeconfig="$pki/scheduler.conf" --leader-elect=false
  start policies "$bin/netpol" --kubeconfig="$pki/admin.conf" --node=node --queue="$policy_queue"
  start kubelet "$bin/kubelet" --config="$home/kubelet.yaml" --kubeconfig="$pki/kubelet.conf" \
    --hostname-override=node --node-ip="$node_ip" --root-dir="$home/kubelet"
  start proxy "$bin/kube-proxy" --config="$home/proxy.yaml"
  start addresses "$here/cloud.sh" addresses "${balanced_ips[@]}"
  start volumes "$here/cloud.sh" volumes "$volumes"
  wait_for 30 "RBAC" kube create clusterrolebinding node --clusterrole=system:node --user=system:node:node
  sed "s/REGISTRY/$registry/; s/DNS_IP/$dns_ip/" "$here/dns.yaml" | kube apply -f "$here/storage.yaml" -f - >/dev/null
  wait_for 90 "the node" node_ready
  wait_for 90 "the cluster's DNS" kube -n kube-system wait deployment/coredns --for=condition=Available --timeout=1s
}

healthy() {
  local name
  for name in "${processes[@]}"; do running "$name" || return 1; done
  kube get --raw /readyz >/dev/null 2>&1 && node_ready
}

node_ready() { kube wait node/node --for=condition=Ready --timeout=1s >/dev/null 2>&1; }

# start NAME CMD...: in the node's network and a process group of its own, logged, its pid kept.
start() {
  local name=$1; shift
  KUBECONFIG=$pki/admin.conf setsid nsenter --net="/var/run/netns/$netns" "$@" >"$log/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$run/$name.pid"
}

# A pid alone could be another program's by now; only ours live in the node's network.
running() {
  local pid; pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
  [ "/proc/$pid/ns/net" -ef "/var/run/netns/$netns" ]
}

stop() {
  local name=$1 pid
  running "$name" || return 0
  pid=$(cat "$run/$name.pid")
  kill -- "-$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do running "$name" || return 0; sleep 0.1; done
  kill -9 -- "-$pid" 2>/dev/null || true
}

down() {
  local name space
  for name in kubelet proxy policies controller-manager scheduler addresses volumes; do stop "$name"; done
  for space in "$home"/containerd/state/io.containerd.grpc.v1.cri/netns/*; do kill_network "$space"; done
  for name in containerd registry guarded apiserver etcd; do stop "$name"; done
  kill_network "/var/run/netns/$netns"            # containers' shims, and whatever a crash left behind
  awk -v h="$home/" 'index($2, h) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
  rm -rf "$run" "$volumes" "$home"/{etcd,kubelet,ipam,registry,guarded,containerd} "$log/pods"
  mkdir -p "$run"
  ip link delete faultline0 2>/dev/null || true    # its other end would hold the namespace for a moment
  ip netns delete "$netns" 2>/dev/null || true
}

kill_network() {  # kill_network FILE: end every process in that network namespace
  [ -e "$1" ] || return 0
  local process
  for process in /proc/[0-9]*; do
    [ ! "$process/ns/net" -ef "$1" ] || kill -9 "${process#/proc/}" 2>/dev/null || true
  done
}

certificate() {  # certificate NAME SUBJECT
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/$1.key" -out "$pki/$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 365 -out "$pki/$1.crt" 2>/dev/null \
    -extfile <(printf 'subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,DNS:node,IP:127.0.0.1,IP:%s,IP:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$node_ip" "$api_ip")
}

kubeconfig() {  # kubeconfig NAME SUBJECT
  certificate "$1" "$2"
  local config=(kubectl --kubeconfig "$pki/$1.conf" config)
  "${config[@]}" set-cluster faultline --server="https://$node_ip:6443" --certificate-authority="$pki/ca.crt" --embed-certs
  "${config[@]}" set-credentials "$1" --client-certificate="$pki/$1.crt" --client-key="$pki/$1.key" --embed-certs
  "${config[@]}" set-context faultline --cluster=faultline --user="$1"
  "${config[@]}" use-context faultline
}

identities() {
  ! openssl x509 -in "$pki/proxy.crt" -noout -checkend 604800 >/dev/null 2>&1 || [ ! -e "$pki/.done" ] || return 0
  rm -rf "$pki"; mkdir -p "$pki"; chmod 700 "$pki"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" -days 365 -subj /CN=faultline-cluster 2>/dev/null
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  certificate apiserver /CN=kube-apiserver
  { kubeconfig controller-manager /CN=system:kube-controller-manager
    kubeconfig scheduler /CN=system:kube-scheduler
    kubeconfig kubelet /O=system:nodes/CN=system:node:node
    kubeconfig proxy /CN=system:kube-proxy
    kubeconfig admin /O=system:masters/CN=admin; } >/dev/null
  touch "$pki/.done"
}

# Of an authority that nobody trusts unasked.
registry_identity() {
  ! openssl x509 -in "$pki/registry.crt" -noout -checkend 604800 >/dev/null 2>&1 || return 0
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/registry-ca.key" -out "$pki/registry-ca.crt" -days 365 \
    -subj /CN=registries 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/registry.key" -out "$pki/registry.csr" -subj /CN=registry 2>/dev/null
  openssl x509 -req -in "$pki/registry.csr" -CA "$pki/registry-ca.crt" -CAkey "$pki/registry-ca.key" -CAcreateserial \
    -days 365 -out "$pki/registry.crt" -extfile <(printf 'subjectAltName=IP:%s\n' "$node_ip") 2>/dev/null
}

network() {
  ip netns add "$netns"
  inside ip link set lo up
  inside ip link add node0 type bridge          # stands in for `dummy`, which not every kernel has
  local ip
  for ip in "${balanced_ips[@]}"; do inside ip addr add "$ip/32" dev node0; done
  inside ip link set node0 up
  inside ip route add default dev node0         # without a route, service addresses never reach iptables
  inside sysctl -qw net.ipv4.ip_forward=1
  # The first packet of each connection between pods goes to whoever decides about NetworkPolicies; without it none
  # passes. It would bring them by rules of its own, with an expression of nftables that not every kernel has.
  inside iptables -t mangle -A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num "$policy_queue"
  # A cable to this machine's own network, so that kubectl, curl and pushes work from here; nothing is forwarded.
  ip link add faultline0 type veth peer name faultline1 netns "$netns"
  ip addr add "$host_ip/32" dev faultline0; ip link set faultline0 up
  inside ip link set faultline1 up
  for ip in "${balanced_ips[@]}"; do ip route add "$ip/32" dev faultline0 src "$host_ip"; done
  inside ip route add "$host_ip/32" dev faultline1
}

# The realm is an address, since Istio's agent takes no other.
guarded_registry() {
  mkdir -p "$home/certs.d/$guarded" "$home/guarded"
  # The password is "faultline".
  printf 'faultline:%s\n' "\$2y\$05\$faultlinefaultlinefauO6BXPF1E6mLX02jkR0dwUvyU1OzW9H76" >"$home/guarded/htpasswd"
  { registry_config "$home/guarded/content" "$guarded"
    printf '  tls: {certificate: %s, key: %s}\nauth: {htpasswd: {realm: "https://%s", path: %s}}\n' \
      "$pki/registry.crt" "$pki/registry.key" "$guarded" "$home/guarded/htpasswd"
  } >"$home/guarded.yml"
  printf 'server = "https://%s"\n[host."https://%s"]\n  capabilities = ["pull", "resolve"]\n  ca = "%s"\n' "$guarded" "$guarded" \
    "$pki/registry-ca.crt" >"$home/certs.d/$guarded/hosts.toml"
}

configs() {
  mkdir -p "$home/cni" "$home/certs.d/$registry" "$volumes"
  registry_config "$home/registry" "$registry" >"$home/registry.yml"
  printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' "$registry" "$registry" \
    >"$home/certs.d/$registry/hosts.toml"
  guarded_registry
  : >"$home/resolv.conf"
  cat >"$home/cni/10-bridge.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "faultline", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$home/ipam", "ranges": [[{"subnet": "$pod_cidr"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
  # restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing, a negative score is refused and every pod fails.
  cat >"$home/containerd.toml" <<EOF
version = 2
root = "$home/containerd/root"
state = "$home/containerd/state"
[grpc]
address = "$home/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$registry/pause:latest"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$home/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$home/certs.d"
EOF
  # failCgroupV1: Kubernetes from 1.35 refuses version 1 unless told; on version 2 it changes nothing.
  cat >"$home/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $pki/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$home/containerd/containerd.sock
podLogsDir: $log/pods
failSwapOn: false
failCgroupV1: false
tlsCertFile: $pki/apiserver.crt
tlsPrivateKeyFile: $pki/apiserver.key
resolvConf: $home/resolv.conf
enforceNodeAllocatable: []
evictionHard: {memory.available: 50Mi, nodefs.available: "0%", imagefs.available: "0%"}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
registryPullQPS: 0
EOF
  cat >"$home/proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $pki/proxy.conf}
mode: iptables
clusterCIDR: $pod_cidr
hostnameOverride: node
conntrack: {maxPerCore: 0}
EOF
}
