# The cluster's certificates and kubeconfigs, made once and kept until `down --purge`.
# shellcheck shell=bash

pki_up() {
  [ ! -e "$PKI/complete" ] || return 0
  rm -rf "$PKI"
  mkdir -p "$PKI"
  chmod 700 "$PKI"
  cd "$PKI" || return
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -subj /CN=sluice-stack -days 3650 -out ca.crt
  openssl ecparam -name prime256v1 -genkey -noout -out sa.key
  openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
  certificate apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:$API_SERVICE,IP:$HOST"
  certificate kubelet-server "/CN=$NODE" "DNS:$NODE,IP:$HOST"
  certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet
  # RSA: Java clients read EC keys only with BouncyCastle.
  certificate admin /O=system:masters/CN=admin "" rsa
  certificate kube-controller-manager /CN=system:kube-controller-manager
  certificate kube-scheduler /CN=system:kube-scheduler
  certificate kube-proxy /CN=system:kube-proxy
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE"
  certificate coredns /CN=coredns
  local user
  for user in admin kube-controller-manager kube-scheduler kube-proxy kubelet coredns; do kubeconfig "$user"; done
  touch complete
}

kubeconfig() { # user
  write_file 600 "$PKI/$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: sluice-stack, cluster: {server: "https://$HOST:$API_PORT", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: sluice-stack, context: {cluster: sluice-stack, user: $1}}]
current-context: sluice-stack
Y
}

certificate() { # name subject [subject alternative names] [rsa]
  if [ "${4:-}" = rsa ]; then
    openssl genrsa -out "$1.key" 2048 2>/dev/null
  else
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  fi
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
    -extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}") 2>/dev/null
  rm "$1.csr"
}
