#!/usr/bin/env bats
# Stages on different machines: two network namespaces stand for them. Keys, who is refused, what can be read on the wire, and a
# network that pauses or stays away. What needs no second machine is shown on the loopback address.
load common
load network

prepare() {
	cd "$T" || return 1
	golden=$BATS_TEST_DIRNAME/data/stream/golden.e3
	for name in server client stranger; do e3-cat --keygen $name; done
	mkdir allow
	cp client.pub allow/
}

teardown() {
	if [ -n "${here:-}" ]; then
		for ns in "$here" "$there"; do
			ip netns pids "$ns" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
			ip netns del "$ns" 2>/dev/null || true
		done
	fi
}

# Two machines with a cable between them: here (10.77.0.1) and there (10.77.0.2). They are network namespaces of this test, so that
# no other process uses a port there: the ports may be fixed.
two_machines() {
	here=e3a$$ there=e3b$$
	ip netns add "$here" 2>/dev/null && ip netns add "$there" 2>/dev/null &&
		ip link add cable netns "$here" type veth peer name cable netns "$there" 2>/dev/null || skip "network namespaces are not permitted here"
	local ns k=0
	for ns in "$here" "$there"; do
		k=$((k + 1))
		ip -n "$ns" addr add 10.77.0.$k/24 dev cable
		ip -n "$ns" link set cable up
		ip -n "$ns" link set lo up
	done
}
here() { ip netns exec "$here" "$@"; }
there() { ip netns exec "$there" "$@"; }

# as WHO: the options of a side, in $keys
as_server() { keys=(--curve-key server --curve-allow allow); }
as_client() { keys=(--curve-key client --curve-server server.pub); }

listen() { # listen: hears the cable, in the background; stop_listening ends it
	here /usr/bin/python3 -B "$ROOT/tests/wiretap.py" listen cable heard >tap 2>&1 &
	tap=$!
	said tap listening
}
stop_listening() {
	kill "$tap" # it ends when nothing comes any more
	wait "$tap" || true
}

@test "decoding, inference and export on different hosts, encrypted: the result of one pipeline, and no pixel readable on the network" {
	two_machines
	mkdir known
	cp client.pub server.pub known/
	decode=(e3-decode --all --max-frames 5 "$DEMO/clip.mp4")
	infer=(e3-infer -q --model seed:tiny:7 --no-evict)
	"${decode[@]}" >frames.e3
	"${infer[@]}" frames.e3 | e3-export -q --tum expected.txt --glb expected.glb
	listen
	keys=(--curve-key server --curve-allow known --curve-server client.pub)
	there "${infer[@]}" "${keys[@]}" zmq:pull:tcp://*:5555 -o zmq:push:tcp://10.77.0.1:5556 2>err2 &
	infer_pid=$!
	keys=(--curve-key client --curve-allow known)
	here e3-export -q "${keys[@]}" zmq:pull:tcp://*:5556 --tum out.txt --glb out.glb 2>err3 &
	export_pid=$!
	as_client
	here "${decode[@]}" "${keys[@]}" -o zmq:push:tcp://10.77.0.2:5555 2>err1
	ends 0 $infer_pid
	ends 0 $export_pid
	stop_listening
	cmp out.txt expected.txt
	cmp out.glb expected.glb
	[ "$(stat -c %s heard)" -gt "$(stat -c %s frames.e3)" ] # it all went by
	found=$(/usr/bin/python3 -B "$ROOT/tests/wiretap.py" find heard frames.e3)
	echo "# pieces of pictures found on the wire, with keys: $found"
	[[ "$found" == "0 of "[1-9]* ]]
	# The same capture finds them when nothing is encrypted.
	there e3-cat --insecure zmq:pull:tcp://*:5557 x.e3 &
	pid=$!
	listen
	here e3-cat --insecure frames.e3 zmq:push:tcp://10.77.0.2:5557
	ends 0 $pid
	stop_listening
	cmp x.e3 frames.e3
	found=$(/usr/bin/python3 -B "$ROOT/tests/wiretap.py" find heard frames.e3)
	echo "# the same without keys: $found"
	[ "${found% of*}" -gt $((${found#* of } / 2)) ]
}

@test "clients with an unknown key or without keys are refused and logged; one with a known key is served" {
	p=$(port)
	as_server
	mkfifo in
	many 3 >three.e3
	held three.e3 in &
	e3-cat "${keys[@]}" -v in "zmq:pub:tcp://127.0.0.1:$p" 2>log &
	server=$!
	# Readers with an unknown key, without keys, and one that does not belong to e3.
	fails 1 "refused by the other side: the public key of this side is not in its --curve-allow" -- \
		e3-cat --curve-key stranger --curve-server server.pub "zmq:sub:tcp://127.0.0.1:$p" got.e3
	said log "refused a client with key $(sed -n 's/^curve-public \([^ ]*\) .*/\1/p' stranger.pub) from 127.0.0.1: not in allow"
	grep -qE "zmq:pub:tcp://127.0.0.1:$p: 20[0-9-]+T[0-9:]+Z: refused" log
	fails 1 "refused: the other side encrypts; this one needs --curve-key and --curve-server" -- \
		e3-cat "zmq:sub:tcp://127.0.0.1:$p" got.e3
	said log "refused a client from 127.0.0.1: it " # does not encrypt, or broke off, whichever side saw it first
	[ "$(peer sub "tcp://127.0.0.1:$p")" = 0 ]
	# A reader that expects another server.
	fails 1 "is --curve-server its public key?" -- \
		e3-cat --timeout 5 --curve-key client --curve-server stranger.pub "zmq:sub:tcp://127.0.0.1:$p" got.e3
	said log "refused a client from 127.0.0.1: it expects another public key than this side's"
	[ ! -e got.e3 ]
	# Keys are added and removed while it runs.
	cp stranger.pub allow/
	e3-cat --curve-key stranger --curve-server server.pub "zmq:sub:tcp://127.0.0.1:$p" ok1.e3 2>log1 &
	a=$!
	as_client
	e3-cat "${keys[@]}" "zmq:sub:tcp://127.0.0.1:$p" ok2.e3 2>log2 &
	b=$!
	said log "accepted a subscriber: stranger@"
	said log "accepted a subscriber: client@"
	wait_until 10 count_is log "a subscriber connected" 2
	touch go
	ends 0 $server
	ends 0 $a
	ends 0 $b
	[ "$(kinds ok1.e3)" = "head:0 end:0" ] # the frames had passed
	nothing_left
}

@test "writers with a wrong key are refused, and the reader accepts the one with the right key" {
	p=$(port)
	as_server
	e3-cat "${keys[@]}" "zmq:pull:tcp://127.0.0.1:$p" got.e3 2>log &
	reader=$!
	fails 1 "not in its --curve-allow" -- e3-cat --curve-key stranger --curve-server server.pub "$golden" "zmq:push:tcp://127.0.0.1:$p"
	fails 1 "the other side encrypts" -- e3-cat "$golden" "zmq:push:tcp://127.0.0.1:$p"
	peer push "tcp://127.0.0.1:$p" "$golden"
	kill -0 $reader
	as_client
	e3-cat "${keys[@]}" "$golden" "zmq:push:tcp://127.0.0.1:$p"
	ends 0 $reader
	cmp got.e3 "$golden"
	[ "$(grep -c "refused a client" log)" -ge 2 ]
}

@test "an encrypting client and a server without keys; a second writer; a second reader" {
	p=$(port)
	e3-cat "zmq:pull:tcp://127.0.0.1:$p" got.e3 2>log &
	reader=$!
	as_client
	fails 1 "refused: the other side does not encrypt; it needs --curve-key and --curve-allow" -- \
		e3-cat "${keys[@]}" "$golden" "zmq:push:tcp://127.0.0.1:$p"
	mkfifo in
	many 3 >three.e3
	held three.e3 in &
	e3-cat -v in "zmq:push:tcp://127.0.0.1:$p" 2>log3 &
	writer=$!
	said log3 "a reader connected"
	fails 1 "refused by the other side: it has a peer already, and a socket carries one stream" -- e3-cat "$golden" "zmq:push:tcp://127.0.0.1:$p"
	said log "refused a client"
	said log "there is a writer already"
	touch go
	ends 0 $writer
	ends 0 $reader
	cmp got.e3 three.e3
}

@test "key files that are damaged, of the wrong kind, or readable by others are refused by name" {
	p=$(port)
	try() { fails 1 "$1" -- e3-cat --curve-key "$2" --curve-allow "$3" "zmq:pull:tcp://127.0.0.1:$p" x.e3; }
	cp server open
	chmod 640 open
	try "reading the key: open: mode 0640 lets others read a secret key; chmod 600 it" open allow
	try "reading the key: absent: cannot be opened: No such file or directory" absent allow
	try "reading the key: server.pub: line 2: holds a public key where a secret key is needed" server.pub allow
	try "reading the key: server: line 2: holds a secret key where a public key is needed" server server
	install -m 600 server.pub public
	try "reading the key: public: line 2: holds a public key where a secret key is needed" public allow
	sed '2s/.$//' server >short && chmod 600 short
	try "reading the key: short: line 2: damaged key: expected 40 characters of Z85 after 'curve-secret'" short allow
	sed '2s/.$/"/' server >quote && chmod 600 quote
	try "reading the key: quote: line 2: damaged key" quote allow
	echo "hello" >text && chmod 600 text
	try "reading the key: text: line 1: expected a line 'curve-secret KEY'" text allow
	install -m 600 /dev/null empty
	try "reading the key: empty: has no key" empty allow
	try "reading the key: .: is not a key file" . allow
	mkdir none
	try "reading the allowed keys: none: has no public key (a file *.pub)" server none
	try "reading the allowed keys: absent: No such file or directory" server absent
	cp short allow/bad.pub
	try "reading the key: allow/bad.pub: line 2: holds a secret key" server allow
	rm allow/bad.pub
	cat client.pub stranger.pub >two
	fails 1 "reading the key: two: line 4: a second key; expected one" -- \
		e3-cat --curve-key client --curve-server two "$golden" "zmq:push:tcp://127.0.0.1:$p"
	fails 1 "--curve-key alone is not enough: where this side listens, --curve-allow" -- e3-cat --curve-key server "zmq:pull:tcp://*:$p"
	fails 1 "where this side connects, --curve-server says whom to expect" -- e3-cat --curve-key server "$golden" zmq:push:tcp://192.0.2.1:5
	[ ! -e x.e3 ]
}

@test "impossible endpoints are refused by name at once" {
	try() { fails 1 "endpoint $2: $1" -- e3-cat --insecure "${@:3}" "$golden" "$2"; }
	try "expected tcp://host:port, an IPv6 address in brackets: tcp://[::1]:5555" zmq:push:tcp://::1:5555
	try "expected tcp://host:port, an IPv6 address in brackets" zmq:push:tcp://127.0.0.1:80:90
	try "expected tcp://host:port" zmq:push:tcp://127.0.0.1
	try "a port is 1 to 65535, not 0" zmq:push:tcp://127.0.0.1:0
	try "a port is 1 to 65535, not 65536" zmq:push:tcp://127.0.0.1:65536
	try "a port is 1 to 65535, not 184467440737095516165555" zmq:push:tcp://127.0.0.1:184467440737095516165555
	try "/nonexistent: No such file or directory" zmq:push:ipc:///nonexistent/s
	try "expected ipc://PATH" "zmq:push:@ipc://*"
	try "--curve-server is not enough: --curve-key names this side's own secret key" zmq:push:tcp://127.0.0.1:5555 --curve-server server.pub
	try "--curve-allow is not enough: --curve-key names this side's own secret key" zmq:pub:tcp://127.0.0.1:5555 --curve-allow allow
	try "--curve-key alone is not enough: where this side connects, --curve-server says whom to expect" zmq:push:tcp://127.0.0.1:5555 --curve-key client
	fails 1 "this side listens, so its host is *, an address of this machine, or an interface" -- e3-cat --insecure "$golden" zmq:pub:tcp://192.0.2.1:5555
	# A name server that does not answer may do so later; one that knows no such host will not.
	rc=0
	e3-cat --insecure --timeout 1 "$golden" zmq:push:tcp://no.such.host.invalid:5555 2>err || rc=$?
	[ "$rc" -eq 1 ]
	grep -qE "no.such.host.invalid: Name or service not known|no reader connected within 1 s" err || { cat err; return 1; }
}

@test "an ipc address in use is not taken over; a stale one is" {
	e3-cat "zmq:pull:ipc://$T/s" x.e3 &
	reader=$!
	wait_until 10 test -S s
	fails 1 "endpoint zmq:pull:ipc://$T/s: another process listens there" -- e3-cat "zmq:pull:ipc://$T/s" y.e3
	e3-cat "$golden" "zmq:push:ipc://$T/s"
	ends 0 $reader
	cmp x.e3 "$golden"
	e3-cat "zmq:pull:ipc://$T/s" x.e3 &
	reader=$!
	wait_until 10 test -S s
	kill -9 $reader
	wait $reader || true
	[ -S s ]
	e3-cat "zmq:pull:ipc://$T/s" y.e3 &
	reader=$!
	e3-cat "$golden" "zmq:push:ipc://$T/s"
	ends 0 $reader
	cmp y.e3 "$golden"
}

@test "IPv6 addresses and host names work" {
	p=$(port)
	[ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6 || skip "no IPv6 here"
	for ends in "[::1] [::1]" "[::] [::1]" "[::] 127.0.0.1" "localhost localhost"; do
		e3-cat --insecure "zmq:pull:tcp://${ends% *}:$p" x.e3 &
		reader=$!
		e3-cat "$golden" "zmq:push:tcp://${ends#* }:$p"
		ends 0 $reader
		cmp x.e3 "$golden"
		rm x.e3
	done
}

@test "the network pauses for 10 s: both sides report it, and nothing is lost" {
	two_machines
	many 60 160 120 >sixty.e3
	mkfifo in
	as_server
	there e3-cat "${keys[@]}" zmq:pull:tcp://*:5555 x.e3 2>log2 &
	reader=$!
	as_client
	here e3-cat -v "${keys[@]}" in zmq:push:tcp://10.77.0.2:5555 2>log1 &
	writer=$!
	exec 7>in
	head -c 5000000 sixty.e3 >&7
	said log1 "a reader connected"
	wait_until 10 all_read in
	ip -n "$there" link set cable down
	down=$SECONDS
	head -c 10000000 sixty.e3 | tail -c +5000001 >&7 & # while the cable is unplugged
	said log1 "no response from the reader for " # 4 s, and what a loaded machine adds
	said log2 "no response from the writer for "
	echo "# said after $((SECONDS - down)) s"
	kill -0 $reader
	kill -0 $writer
	sleep $((10 - SECONDS + down > 0 ? 10 - SECONDS + down : 0)) # fixed: the network is away for 10 s
	ip -n "$there" link set cable up
	wait_until 10 grep -qE 'the reader is back after [0-9]{2,} s' log1
	wait_until 10 grep -qE 'the writer is back after [0-9]{2,} s' log2
	tail -c +10000001 sixty.e3 >&7
	exec 7>&-
	ends 0 $writer
	ends 0 $reader
	cmp x.e3 sixty.e3
}

@test "the network stays away: both sides fail after --timeout, and no incomplete file is left" {
	two_machines
	many 60 160 120 >sixty.e3
	mkfifo in
	there e3-cat --insecure --timeout 8 zmq:pull:tcp://*:5555 x.e3 2>log2 &
	reader=$!
	here e3-cat -v --insecure --timeout 8 --queue 2 in zmq:push:tcp://10.77.0.2:5555 2>log1 &
	writer=$!
	exec 7>in
	head -c 5000000 sixty.e3 >&7
	said log1 "a reader connected"
	wait_until 10 all_read in
	ip -n "$there" link set cable down
	down=$SECONDS
	tail -c +5000001 sixty.e3 >&7 &
	ends 1 $writer
	ends 1 $reader
	exec 7>&-
	echo "# failed after $((SECONDS - down)) s"
	grep -qE "writing: zmq:push:tcp://10.77.0.2:5555: (no response from the reader for|the reader accepted no data for) 8 s \(--timeout\)" log1
	grep -qE "reading: zmq:pull:tcp://\*:5555: (no response from the writer|no message) for 8 s \(--timeout\)" log2
	[ ! -e x.e3 ]
	nothing_left
}
