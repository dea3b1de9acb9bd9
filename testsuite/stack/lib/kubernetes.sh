# The control plane, the node, the cluster's names.
# shellcheck shell=bash

KUBE_BIN=$(kubernetes_bin)
kube() { "$KUBE_BIN/kubectl" --kubeconfig "$PKI/admin.kubeconfig" "$@"; }

etcd_up() {
  # No fsync: a machine that loses power loses this cluster, and nobody minds.
  start etcd "$KUBE_BIN/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster default=http://127.0.0.1:2380
  WAIT_PROCESS=etcd wait_for 90 "etcd on 127.0.0.1:2379" curl -sf -m 1 http://127.0.0.1:2379/health
}

apiserver_up() {
  # Counted by tests: the requests that an upgrade costs.
  write_file 644 "$RUN/audit-policy.yaml" <<'Y'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, nonResourceURLs: ["/healthz*", "/readyz*", "/livez*", "/metrics"]}
- {level: Metadata}
Y
  alive kube-apiserver || [ ! -e "$RUN/audit.log" ] || mv "$RUN/audit.log" "$RUN/audit.log.1"
  start kube-apiserver "$KUBE_BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address="$HOST" --advertise-address="$HOST" --secure-port="$API_PORT" \
    --service-cluster-ip-range="$SERVICE_CIDR" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --audit-policy-file="$RUN/audit-policy.yaml" --audit-log-path="$RUN/audit.log" \
    --audit-log-maxsize=200 --audit-log-maxbackup=2 \
    --endpoint-reconciler-type=lease --profiling=false
  WAIT_PROCESS=kube-apiserver wait_for 90 "the API server on $HOST:$API_PORT" kube get --raw /readyz
}

controllers_up() {
  start kube-controller-manager "$KUBE_BIN/kube-controller-manager" --kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials --profiling=false \
    --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"
  start kube-scheduler "$KUBE_BIN/kube-scheduler" --kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --profiling=false
  WAIT_PROCESS=kube-controller-manager wait_for 60 "the default service account" kube -n default get serviceaccount default
}

kubelet_up() {
  printf 'nameserver %s\n' "$HOST" | write_file 644 "$RUN/resolv.conf"
  # KubeletInUserNamespace and failCgroupV1: containers' hosts without CAP_SYS_RESOURCE, and cgroup v1, are fine here.
  # evictionHard: memory.available must be > 0, and disk pressure of the developer's machine must not evict.
  write_file 644 "$RUN/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $HOST
port: $KUBELET_PORT
healthzBindAddress: 127.0.0.1
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /
featureGates: {KubeletInUserNamespace: true}
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
podLogsDir: $STATE/pod-logs
clusterDNS: ["$HOST"]
clusterDomain: cluster.local
resolvConf: $RUN/resolv.conf
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
enforceNodeAllocatable: []
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi}
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
serializeImagePulls: false
maxPods: 200
Y
  start kubelet "$KUBE_BIN/kubelet" --config="$RUN/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
    --hostname-override="$NODE" --node-ip="$HOST" --root-dir="$STATE/kubelet" --cert-dir="$STATE/kubelet/pki"
  WAIT_PROCESS=kubelet wait_for 60 "the node to register" kube get node "$NODE"
  WAIT_PROCESS=kubelet wait_for 90 "the node to be Ready" node_ready
}
# A node object of an earlier run is Ready until the controller manager notices: ask for a heartbeat of this run.
node_ready() {
  local beat
  beat=$(kube get node "$NODE" -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}') || return 1
  [ "${beat%% *}" = True ] || return 1
  [ "$(date -d "${beat#* }" +%s)" -ge "$(stat -c %Y "$RUN/kubelet.pid")" ]
}

proxy_up() {
  # nftables mode: one table of its own, which down removes whole.
  write_file 644 "$RUN/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: $HOST
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
nodePortAddresses: ["$HOST/32"]
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 100ms}
Y
  start kube-proxy "$KUBE_BIN/kube-proxy" --config="$RUN/kube-proxy.yaml"
  WAIT_PROCESS=kube-proxy wait_for 60 "kube-proxy" curl -sf -m 1 http://127.0.0.1:10256/healthz
}

coredns_up() {
  write_file 644 "$RUN/Corefile" <<C
.:53 {
  bind $HOST
  errors
  health 127.0.0.1:8054
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $PKI/coredns.kubeconfig
    pods insecure
    ttl 1
  }
  cache 5
}
C
  kube apply -f - <<'Y'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: coredns}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}
subjects: [{kind: User, name: coredns, apiGroup: rbac.authorization.k8s.io}]
Y
  start coredns "$KUBE_BIN/coredns" -conf "$RUN/Corefile"
  WAIT_PROCESS=coredns wait_for 60 "CoreDNS" curl -sf -m 1 http://127.0.0.1:8054/health
}
