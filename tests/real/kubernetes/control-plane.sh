#!/bin/bash
# A real Kubernetes control plane on loopback, built from the public Go modules.
#
#   control-plane.sh install                 build etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok (idempotent)
#   control-plane.sh start DIR [PORT] [WHAT...]   start in DIR on PORT.. (6443); WHAT: controller-manager scheduler kwok (default: all three)
#   control-plane.sh user DIR NAME [GROUP...]  make DIR/NAME.kubeconfig, a client certificate user
#   control-plane.sh server DIR NAME SAN     make DIR/pki/NAME.crt and .key, for a server of these names (DNS:...,IP:...)
#   control-plane.sh stop DIR                stop everything that DIR's pid files name
#   control-plane.sh kill|pause|resume DIR NAME   one component: etcd, apiserver, controller-manager, scheduler, kwok
#
# The admin's kubeconfig is DIR/admin.kubeconfig.  Data stays in DIR: start again and the cluster is as it was.
# Everything listens on REAL_ADDRESS (127.0.0.1; host.sh sets another one inside a network namespace of its own).
# Ports: PORT api server, +1 etcd client, +2 etcd peer, +3 controller-manager, +4 scheduler, +5 kwok.
# Needs: go (1.26 or newer), openssl, curl.  kubectl is Debian's or the one built with `install kubectl`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
address=${REAL_ADDRESS:-127.0.0.1}
cache=${DRAVE_REAL_CACHE:-$HOME/.cache/drave-real}/kubernetes

install_binaries() {
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9 # one builds, the others wait for it
	local version; version=$(sed -n 's/.*k8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -1)
	local minor=${version#v1.}; minor=${minor%%.*}
	local stamp="$cache/.built-$version"
	if [ ! -e "$stamp" ]; then
		local v=k8s.io/component-base/version
		(cd "$here" && CGO_ENABLED=0 go build -trimpath -o "$cache/" \
			-ldflags "-s -w -X $v.gitVersion=$version -X $v.gitMajor=1 -X $v.gitMinor=$minor" \
			k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler)
		(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$cache/etcd" go.etcd.io/etcd/server/v3)
		(cd "$here/kwok" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$cache/kwok" sigs.k8s.io/kwok/cmd/kwok)
		local stages; stages=$(cd "$here/kwok" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
		for f in "$stages"/node/fast/node-*.yaml "$stages"/node/heartbeat-with-lease/node-*.yaml "$stages"/pod/fast/pod-*.yaml; do
			cat "$f"; echo ---; done >"$cache/kwok-stages.yaml"
		touch "$stamp"
	fi
	for extra in "$@"; do
		[ -e "$cache/$extra" ] || (cd "$here" && CGO_ENABLED=0 go build -trimpath -o "$cache/" \
			-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" "k8s.io/kubernetes/cmd/$extra")
	done
	exec 9>&-
	echo "$cache"
}

sign() { # sign NAME SUBJECT [SAN]: a key and a certificate of the cluster's CA
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/pki/$1.key" -out "$dir/pki/$1.csr" -subj "$2" 2>/dev/null
	openssl x509 -req -in "$dir/pki/$1.csr" -CA "$dir/pki/ca.crt" -CAkey "$dir/pki/ca.key" -CAcreateserial -days 30 -out "$dir/pki/$1.crt" \
		-extfile <(echo "extendedKeyUsage=clientAuth,serverAuth"; [ -z "${3:-}" ] || echo "subjectAltName=$3") 2>/dev/null
}

kubeconfig() { # kubeconfig NAME: for the certificate pki/NAME
	cat >"$dir/$1.kubeconfig" <<-EOF
	apiVersion: v1
	kind: Config
	clusters: [{name: real, cluster: {server: "https://$address:$port", certificate-authority: "$dir/pki/ca.crt"}}]
	users: [{name: "$1", user: {client-certificate: "$dir/pki/$1.crt", client-key: "$dir/pki/$1.key"}}]
	contexts: [{name: real, context: {cluster: real, user: "$1"}}]
	current-context: real
	EOF
}

make_pki() {
	[ -e "$dir/pki/ca.crt" ] && return
	mkdir -p "$dir/pki"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/pki/ca.key" -out "$dir/pki/ca.crt" -days 30 -subj /CN=real-ca 2>/dev/null
	openssl genrsa -out "$dir/pki/sa.key" 2048 2>/dev/null
	sign apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:10.88.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
	sign admin /O=system:masters/CN=admin
	sign controller-manager /CN=system:kube-controller-manager
	sign scheduler /CN=system:kube-scheduler
	sign kwok /O=system:masters/CN=kwok
	sign kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
}

launch() { # launch NAME COMMAND...
	local name=$1; shift
	[ -e "$dir/$name.pid" ] && kill -0 "$(cat "$dir/$name.pid")" 2>/dev/null && return
	setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null & echo $! >"$dir/$name.pid"
}

await() { # await URL WHAT: until it answers, at most 60 s
	for _ in $(seq 300); do
		curl -sf --cacert "$dir/pki/ca.crt" --cert "$dir/pki/admin.crt" --key "$dir/pki/admin.key" "$1" >/dev/null && return
		sleep .2
	done
	echo "$2 does not answer; see $dir/$2.log" >&2; return 1
}

make_stages() { # kwok's own, where a pod with our label is left to ours
	awk '{ print } /^  name: pod-ready$/ { ready = 1 } ready && /matchExpressions:/ { ready = 0
		print "    - {key: \x27.metadata.labels[\"fake.drave.dev/start\"]\x27, operator: DoesNotExist}" }' \
		"$cache/kwok-stages.yaml" >"$dir/stages.yaml"
	cat "$here/stages.yaml" >>"$dir/stages.yaml"
}

start() {
	dir=$(mkdir -p "$1" && cd "$1" && pwd); port=${2:-6443}; shift; [ $# -gt 0 ] && shift
	local what=${*:-controller-manager scheduler kwok}
	echo "$port" >"$dir/port"
	make_pki
	for u in admin controller-manager scheduler kwok; do kubeconfig "$u"; done
	launch etcd "$cache/etcd" --name real --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls "http://127.0.0.1:$((port+1))" --advertise-client-urls "http://127.0.0.1:$((port+1))" \
		--listen-peer-urls "http://127.0.0.1:$((port+2))" --initial-advertise-peer-urls "http://127.0.0.1:$((port+2))" \
		--initial-cluster "real=http://127.0.0.1:$((port+2))"
	await "http://127.0.0.1:$((port+1))/health" etcd
	launch apiserver "$cache/kube-apiserver" --etcd-servers "http://127.0.0.1:$((port+1))" --bind-address "$address" --secure-port "$port" \
		--advertise-address "$address" --endpoint-reconciler-type none --service-cluster-ip-range 10.0.0.0/24 --authorization-mode Node,RBAC \
		--client-ca-file "$dir/pki/ca.crt" --tls-cert-file "$dir/pki/apiserver.crt" --tls-private-key-file "$dir/pki/apiserver.key" \
		--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/pki/sa.key" \
		--service-account-signing-key-file "$dir/pki/sa.key" --allow-privileged \
		--kubelet-client-certificate "$dir/pki/kubelet-client.crt" --kubelet-client-key "$dir/pki/kubelet-client.key" \
		--kubelet-preferred-address-types InternalIP ${APISERVER_FLAGS:-}
	await "https://$address:$port/readyz" apiserver
	case $what in *controller-manager*)
		launch controller-manager "$cache/kube-controller-manager" --kubeconfig "$dir/controller-manager.kubeconfig" --bind-address 127.0.0.1 \
			--secure-port "$((port+3))" --authorization-always-allow-paths /healthz,/metrics --leader-elect=false --use-service-account-credentials --root-ca-file "$dir/pki/ca.crt" \
			--service-account-private-key-file "$dir/pki/sa.key" ${CONTROLLER_MANAGER_FLAGS:-};;
	esac
	case $what in *scheduler*)
		launch scheduler "$cache/kube-scheduler" --kubeconfig "$dir/scheduler.kubeconfig" --bind-address 127.0.0.1 --secure-port "$((port+4))" --leader-elect=false;;
	esac
	case $what in *kwok*)
		make_stages
		launch kwok "$cache/kwok" --kubeconfig "$dir/kwok.kubeconfig" -c "$dir/stages.yaml" --manage-all-nodes=false \
			--manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --server-address "127.0.0.1:$((port+5))" --node-lease-duration-seconds 40;;
	esac
	case $what in *controller-manager*) await "https://$address:$port/api/v1/namespaces/default/serviceaccounts/default" controller-manager;; esac
	echo "$dir/admin.kubeconfig"
}

stop() {
	local n p
	for n in kwok scheduler controller-manager apiserver etcd; do
		[ -e "$1/$n.pid" ] || continue
		p=$(cat "$1/$n.pid"); kill -CONT "$p" 2>/dev/null || true; kill "$p" 2>/dev/null || true
		for _ in $(seq 50); do kill -0 "$p" 2>/dev/null || break; sleep .2; done
		kill -9 "$p" 2>/dev/null || true; rm -f "$1/$n.pid"
	done
}

case ${1:-} in
install) shift; install_binaries "$@";;
start) shift; start "$@";;
user) dir=$(cd "$2" && pwd); port=$(cat "$dir/port"); name=$3; shift 3; subject=; for g in "$@"; do subject+="/O=$g"; done
	sign "$name" "$subject/CN=$name"; kubeconfig "$name"; echo "$dir/$name.kubeconfig";;
server) dir=$(cd "$2" && pwd); sign "$3" "/CN=$3" "$4";;
stop) stop "$2";;
kill) kill -9 "$(cat "$2/$3.pid")"; rm -f "$2/$3.pid";;
pause) kill -STOP "$(cat "$2/$3.pid")";;
resume) kill -CONT "$(cat "$2/$3.pid")";;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 64;;
esac
