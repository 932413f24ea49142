#!/bin/bash
# A real Apache Kafka broker on loopback (KRaft: one node, broker and controller in one), from the public Maven artefacts.
#
#   kafka.sh install              fetch the jars into the cache (idempotent; start does it too)
#   kafka.sh start DIR [PORT]     run in DIR on REAL_ADDRESS:PORT (127.0.0.1 unless given; the last port used, or 9092); prints the address once it answers
#   kafka.sh stop DIR             orderly stop
#   kafka.sh kill DIR             kill -9
#   kafka.sh pause|resume DIR     SIGSTOP, SIGCONT: a broker that hangs
#   kafka.sh topics|configs|acls|groups|offsets|produce|consume|perf DIR [ARGS...]    Kafka's own tools, against that broker
#   kafka.sh dump DIR TOPIC [PARTITION]    what lies on its disk: batches, codecs, keys, headers
#
# Data, log, pid, port and server.properties stay in DIR: start again and the broker is as it was.
# These variables count at each start:
#   KAFKA_TLS=1           TLS on PORT+1 with DIR/tls/ca.crt; client.crt and client.key lie beside it
#   KAFKA_CLIENT_AUTH=    none (default), requested or required: whether that listener wants a client's certificate
#   KAFKA_SASL=1          PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 on PORT+2, inside TLS if KAFKA_TLS=1
#   KAFKA_USER=           name:password for it, drave:secret unless given (SCRAM keeps the one of DIR's first start)
#   KAFKA_ACL=1           the authorizer: a resource without an ACL is open to all, PORT (no login) may do everything
#   KAFKA_PARTITIONS=1 KAFKA_MESSAGE_MAX=1048588 KAFKA_LOG=INFO KAFKA_HEAP=512m
#   KAFKA_JOIN=PORT       a further broker for the one on that PORT, which stays the controller (topics with more than one replica)
#   KAFKA_SET=            more lines for server.properties, as words: "log.retention.ms=60000 min.insync.replicas=2"
#   KAFKA_JVM=            JVM flags; unless given, those that start fast and stay small
#   KAFKA_VERSION=        another release than the pom's, for install too.  3.9.2, unlike 4.x, takes the SCRAM of librdkafka before 2.6.1
# Controller: PORT+3.  Needs: java 17 or newer, mvn, openssl.  Cache: DRAVE_REAL_CACHE, ~/.cache/drave-real unless given.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
address=${REAL_ADDRESS:-127.0.0.1}
version=${KAFKA_VERSION:-$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$here/pom.xml")}
cache=${DRAVE_REAL_CACHE:-$HOME/.cache/drave-real}/kafka/$version
cluster_id=ZHJhdmUtcmVhbC1rYWZrYQ # "drave-real-kafka"; always the same, so that KAFKA_JOIN needs no more than a port
quick=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1) # JVM flags: up soon, small

find_java() { # fills the array java: the JVM with Kafka's jars, and with their class archive once there is one
	local jars; jars=$(printf '%s:' "$cache"/jars/*.jar)
	java=("${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xms64m -cp "${jars%:}")
	[ ! -e "$cache/classes.jsa" ] || java+=(-XX:SharedArchiveFile="$cache/classes.jsa" '-Xlog:cds*=off')
}

install() {
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
	if ! cmp -s "$here/pom.xml" "$cache/pom.xml"; then
		rm -rf "$cache/jars" "$cache/classes.jsa" "$cache/pom.xml"
		mvn -q -B -f "$here/pom.xml" -Dkafka.version="$version" dependency:copy-dependencies -DincludeScope=runtime \
			-DoutputDirectory="$cache/jars" >"$cache/log" 2>&1 || { cat "$cache/log" >&2; return 1; }
		archive_classes || echo "no class archive: brokers start slower" >&2
		cp "$here/pom.xml" "$cache/pom.xml"
	fi
	exec 9>&-
}

archive_classes() { # run a broker once and let the JVM keep the classes that it loaded: halves the CPU time of each start
	local dir; dir=$(cd "$(mktemp -d)" && pwd -P)
	KAFKA_TLS=1 KAFKA_SASL=1 KAFKA_ACL=1 KAFKA_JOIN='' KAFKA_SET='' KAFKA_JVM='' \
		launch "$(free_ports)" -XX:ArchiveClassesAtExit="$dir/classes.jsa" '-Xlog:cds*=off' 9>&- && stop "$dir" && mv "$dir/classes.jsa" "$cache/"
	rm -rf "$dir"
	[ -e "$cache/classes.jsa" ]
}

taken() { # taken PORT: does anything listen on it or on one of the three after it?  Prints which
	local p
	for p in "$1" $(($1+1)) $(($1+2)) $(($1+3)); do
		! (: <>"/dev/tcp/$address/$p") 2>/dev/null || { echo "$p"; return; }
	done
	return 1
}

free_ports() { # four free ports in a row: the first
	local port
	for _ in $(seq 50); do
		port=$((20000 + RANDOM % 12000))
		taken $port >/dev/null || { echo $port; return; }
	done
	return 1
}

sign() { # sign NAME SUBJECT USAGE: a key and a certificate of DIR's CA
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/tls/$1.key" -out "$dir/tls/$1.csr" -subj "$2" 2>/dev/null
	openssl x509 -req -in "$dir/tls/$1.csr" -CA "$dir/tls/ca.crt" -CAkey "$dir/tls/ca.key" -CAcreateserial -days 3650 -out "$dir/tls/$1.crt" \
		-extfile <(printf '%s\n' "extendedKeyUsage=$3" "subjectAltName=IP:$address,DNS:localhost") 2>/dev/null
}

make_tls() {
	[ -e "$dir/tls/server.pem" ] && return
	mkdir -p "$dir/tls"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/tls/ca.key" -out "$dir/tls/ca.crt" -days 3650 -subj /CN=real-kafka-ca 2>/dev/null
	sign client /CN=drave clientAuth
	sign server /CN=localhost serverAuth
	cat "$dir/tls/server.key" "$dir/tls/server.crt" >"$dir/tls/server.pem"
}

properties() { # properties PORT: server.properties on standard output; the short session lets a killed broker come back soon
	local port=$1 user=${KAFKA_USER:-drave:secret} sasl=SASL_PLAINTEXT
	local at=PLAINTEXT://$address:$port
	[ -z "${KAFKA_TLS:-}" ] || { at+=,SSL://$address:$((port+1)); sasl=SASL_SSL; }
	[ -z "${KAFKA_SASL:-}" ] || at+=,SASL://$address:$((port+2))
	local node=1 roles=broker,controller controller=$address:$((${KAFKA_JOIN:-$port}+3))
	local listeners=$at,CONTROLLER://$controller
	[ -z "${KAFKA_JOIN:-}" ] || { node=$port; roles=broker; listeners=$at; }
	cat <<-EOF
	process.roles=$roles
	node.id=$node
	controller.quorum.voters=1@$controller
	controller.listener.names=CONTROLLER
	listeners=$listeners
	advertised.listeners=$at
	listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL:$sasl
	inter.broker.listener.name=PLAINTEXT
	log.dirs=$dir/data
	auto.create.topics.enable=true
	num.partitions=${KAFKA_PARTITIONS:-1}
	message.max.bytes=${KAFKA_MESSAGE_MAX:-1048588}
	default.replication.factor=1
	offsets.topic.replication.factor=1
	offsets.topic.num.partitions=1
	transaction.state.log.replication.factor=1
	transaction.state.log.min.isr=1
	transaction.state.log.num.partitions=1
	share.coordinator.state.topic.replication.factor=1
	share.coordinator.state.topic.min.isr=1
	share.coordinator.state.topic.num.partitions=1
	group.initial.rebalance.delay.ms=0
	broker.session.timeout.ms=3000
	broker.heartbeat.interval.ms=500
	num.network.threads=2
	num.io.threads=4
	log.cleaner.dedupe.buffer.size=4194304
	EOF
	[ -z "${KAFKA_TLS:-}" ] || cat <<-EOF
	ssl.keystore.type=PEM
	ssl.keystore.location=$dir/tls/server.pem
	ssl.truststore.type=PEM
	ssl.truststore.location=$dir/tls/ca.crt
	listener.name.ssl.ssl.client.auth=${KAFKA_CLIENT_AUTH:-none}
	EOF
	[ -z "${KAFKA_SASL:-}" ] || cat <<-EOF
	sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
	listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_${user%%:*}="${user#*:}";
	listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
	EOF
	[ -z "${KAFKA_ACL:-}" ] || cat <<-EOF
	authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
	super.users=User:ANONYMOUS
	allow.everyone.if.no.acl.found=true
	EOF
	[ -z "${KAFKA_SET:-}" ] || tr ' ' '\n' <<<"$KAFKA_SET" # a later line wins
}

logging() {
	cat <<-EOF
	rootLogger.level=${KAFKA_LOG:-INFO}
	rootLogger.appenderRef.out.ref=out
	appender.out.type=Console
	appender.out.name=out
	appender.out.layout.type=PatternLayout
	appender.out.layout.pattern=%d %p %m (%c)%n
	EOF
}

format() { # new storage, with the SCRAM user in it
	local user=${KAFKA_USER:-drave:secret}
	"${java[@]}" kafka.tools.StorageTool format --config "$dir/server.properties" --cluster-id "$cluster_id" \
		--add-scram "SCRAM-SHA-256=[name=${user%%:*},password=${user#*:}]" \
		--add-scram "SCRAM-SHA-512=[name=${user%%:*},password=${user#*:}]" >>"$dir/log" 2>&1
}

running() { # running DIR: is the process of DIR's pid file our broker?
	[ -e "$1/pid" ] && tr '\0' '\n' 2>/dev/null <"/proc/$(cat "$1/pid")/cmdline" | grep -qxF "$1/server.properties"
}

answers() { # answers PORT: a Metadata request (version 1, no topics) brings back one broker or more
	(exec 3<>"/dev/tcp/$address/$1" && printf '\0\0\0\16\0\3\0\1\0\0\0\1\377\377\0\0\0\0' >&3 &&
		[[ $(timeout 2 head -c 12 <&3 | od -An -v -tx1 | tr -d ' \n') =~ ^.{8}000000010000000[1-9]$ ]]) 2>/dev/null
}

launch() { # launch PORT JVMFLAGS...: a broker in $dir, up and answering in 60 s or given up
	local port=$1 busy flags; shift
	! busy=$(taken "$port") || { echo "port $busy is taken (needed: $port to $((port+3)))" >&2; return 1; }
	echo "$port" >"$dir/port"
	find_java
	[ -z "${KAFKA_TLS:-}" ] || make_tls
	properties "$port" >"$dir/server.properties"
	logging >"$dir/log4j2.properties"
	[ -e "$dir/data/meta.properties" ] || format || { tail -n 20 "$dir/log" >&2; return 1; }
	read -ra flags <<<"${KAFKA_JVM:-${quick[*]}}"
	setsid "${java[@]}" "-Xmx${KAFKA_HEAP:-512m}" "${flags[@]}" "$@" -Dlog4j2.configurationFile="$dir/log4j2.properties" \
		kafka.Kafka "$dir/server.properties" >>"$dir/log" 2>&1 </dev/null & echo $! >"$dir/pid"
	local deadline=$((SECONDS + 60))
	until running "$dir" && answers "$port"; do
		if [ $SECONDS -ge $deadline ] || ! kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
			signal KILL "$dir"
			echo "no broker on port $port; the end of $dir/log:" >&2
			tail -n 20 "$dir/log" >&2
			return 1
		fi
		sleep .1
	done
}

start() {
	dir=$(mkdir -p "$1" && cd "$1" && pwd -P)
	local port=${2:-$(cat "$dir/port" 2>/dev/null || echo 9092)}
	running "$dir" || { install; launch "$port"; }
	echo "$address:$(cat "$dir/port")"
}

signal() { # signal NAME DIR
	dir=$(cd "$2" && pwd -P)
	running "$dir" || return 0
	kill "-$1" "$(cat "$dir/pid")"
}

gone() { # gone SECONDS: has the broker of $dir ended by then?
	for _ in $(seq "$1"0); do running "$dir" || { rm -f "$dir/pid"; return; }; sleep .1; done
	return 1
}

stop() {
	signal CONT "$1"; signal TERM "$1"
	gone 30 || { echo "still there after 30 s, killed" >&2; signal KILL "$1"; gone 10; }
}

tool() { # tool CLASS DIR ARGS...
	local class=$1 dir=$2; shift 2
	find_java
	exec "${java[@]}" "${quick[@]}" "$class" --bootstrap-server "$address:$(cat "$dir/port")" "$@"
}

usage() {
	sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"
	exit 64
}

[ $# -gt 1 ] || [ "${1:-}" = install ] || usage
command=$1; shift
case $command in
install) install; echo "$cache";;
start) start "$@";;
stop) stop "$1";;
kill) signal KILL "$1"; gone 10;;
pause) signal STOP "$1";;
resume) signal CONT "$1";;
topics) tool org.apache.kafka.tools.TopicCommand "$@";;
configs) tool kafka.admin.ConfigCommand "$@";;
acls) tool org.apache.kafka.tools.AclCommand "$@";;
groups) tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "$@";;
offsets) tool org.apache.kafka.tools.GetOffsetShell "$@";;
produce) tool org.apache.kafka.tools.ConsoleProducer "$@";;
consume) tool org.apache.kafka.tools.consumer.ConsoleConsumer "$@";;
perf) tool org.apache.kafka.tools.ProducerPerformance "$@";;
dump) files=$(printf '%s,' "$1/data/$2-${3:-0}"/*.log)
	find_java
	exec "${java[@]}" "${quick[@]}" org.apache.kafka.tools.DumpLogSegments --print-data-log --files "${files%,}";;
*) usage;;
esac
