#!/usr/bin/env bats
# e3-view: what a client gets and in which order, who is refused, what hostile and slow clients cost (tests/view_check.py), --pass.
# shellcheck disable=SC2030,SC2031 # each test has its own
load common

check() { /usr/bin/python3 -B "$BATS_TEST_DIRNAME/view_check.py" "$@"; }

# A run with pictures, depth, points and evictions; and a larger one without.
setup_file() {
	PATH="$B/bin:$PATH"
	cd "$BATS_FILE_TMPDIR" || return 1
	e3-scene -q --frames 6 --size 84x56 | e3-infer -q --device cpu --model seed:tiny:7 --segment 0 --budget 2f -o run.e3
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/make_pred.py" large.e3 frames=12 w=200 h=150
}

prepare() {
	f=$BATS_FILE_TMPDIR
	cd "$T" || return 1
}

# serve [OPTION]... INPUT: pid and url of a server in the background.
serve() {
	e3-view --listen 127.0.0.1:0 "$@" 2>log 3>&- &
	pid=$!
	wait_until 30 has_text log "the page: " || { cat log; return 1; }
	url=$(sed -n 's/.*the page: //p' log)
}
teardown() {
	[ -z "${pid:-}" ] || kill "$pid" 2>/dev/null || true
	[ -z "${pid:-}" ] || wait "$pid" || true
}

# stop STATUS: it ends so after SIGTERM, or has ended.
stop() {
	local rc=0
	kill "$pid" 2>/dev/null || true
	wait "$pid" || rc=$?
	pid=
	[ "$rc" -eq "$1" ] || { echo "exit $rc, expected $1"; cat log; return 1; }
}

@test "a recording: hello, every frame in order, its points, the pictures of the newest; what is wanted comes first" {
	serve "$f/run.e3"
	check records "$url" 6
	check state "$url" recording
	check wanted "$url" 6
	stop 143
}

@test "two recordings" {
	serve "$f/run.e3" "$f/large.e3"
	check two "$url" 6 12
	stop 143
	fails 2 "e3-view: none.e3: expected a recording: a file" -- e3-view "$f/run.e3" none.e3
	fails 2 "e3-view: expected one or two recordings, got a third: 'c'" -- e3-view "$f/run.e3" "$f/run.e3" c
}

@test "what a client has not acknowledged is bounded" {
	serve "$f/large.e3"
	check window "$url"
}

@test "the page, its headers, and what is not there; other sites are refused" {
	serve "$f/run.e3"
	check pages "$url"
	check sites "$url"
	grep -q "refused: the Host is no name of this machine" log
}

@test "malformed messages end their client and nobody else" {
	serve "$f/run.e3"
	check malformed "$url"
	check records "$url" 6
	stop 143
}

@test "1,000 connections, half of them half a request: whoever is quick gets in; descriptors are bounded" {
	serve --clients 4 "$f/run.e3"
	check full "$url" 4
	check crowd "$url" "$pid" 4
	[ "$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")" -lt 400000 ]
	grep -q "refused: there are as many clients as may be" log
	stop 143
	grep -q "refused: [0-9]* more requests" log
}

@test "a token, in an option or a file; without one nothing beyond this machine" {
	serve --token 0123456789abcdefXY "$f/run.e3"
	[[ $url == *"/?token=0123456789abcdefXY" ]]
	check token "${url%%\?*}" 0123456789abcdefXY
	stop 143
	printf 'a-secret.of_some~size\r\nmore\n' >secret
	serve --token-file secret "$f/run.e3"
	check token "${url%%\?*}" a-secret.of_some~size
	stop 143
	fails 1 "listening: 0.0.0.0:0: others can reach it: set a --token" -- e3-view --listen 0.0.0.0:0 "$f/run.e3"
	fails 1 "listening: [::]:0: others can reach it" -- e3-view --listen '[::]:0' "$f/run.e3"
	fails 1 "the token: expected 16 to 128 letters, digits" -- e3-view --token short "$f/run.e3"
	fails 1 "the token: expected 16 to 128 letters, digits" -- e3-view --token "0123456789abcdef&" "$f/run.e3"
	fails 2 "--token and --token-file: expected one of them" -- e3-view --token x --token-file secret "$f/run.e3"
	fails 2 "--token-file: none: No such file" -- e3-view --token-file none "$f/run.e3"
	serve --listen 0.0.0.0:0 --token 0123456789abcdefXY "$f/run.e3"
	grep -q "warning\|not encrypted: who can read the network sees the token and the scene" log
	check token "${url%%\?*}" 0123456789abcdefXY
}

@test "encrypted: the page and the records over TLS" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost 2>/dev/null
	serve --tls-cert cert.pem --tls-key key.pem "$f/run.e3"
	[[ $url == https://* ]]
	check records "$url" 6
	# without TLS it hangs up
	check_plain() { check pages "http://${url#https://}"; }
	! check_plain 2>/dev/null || return 1
	check state "$url" recording
	stop 143
	fails 2 "--tls-cert and --tls-key: expected both" -- e3-view --tls-cert cert.pem "$f/run.e3"
	fails 1 "serving: cert.pem, cert.pem: no certificate and its key in PEM" -- e3-view --listen 127.0.0.1:0 --tls-cert cert.pem --tls-key cert.pem "$f/run.e3"
}

@test "--pass forwards every byte and ends with the stream; a client that never reads holds up nobody" {
	mkfifo in
	e3-view -v --listen 127.0.0.1:0 --pass in >out.e3 2>log 3>&- &
	pid=$!
	exec 9>in
	wait_until 30 has_text log "the page: "
	url=$(sed -n 's/.*the page: //p' log)
	check stuck "$url" ready "done" 3>&- 9>&- &
	local never=$!
	check follow "$url" 60 following 3>&- 9>&- &
	local reader=$!
	wait_until 30 test -e ready
	wait_until 30 test -e following
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/make_pred.py" - frames=6 repeat=10 w=64 h=48 | tee sent.e3 >&9
	exec 9>&-
	wait "$reader"
	stop 0
	cmp sent.e3 out.e3
	touch "done"
	wait "$never"
}

@test "a stream that fails: passed on as far as it came, the page says why, exit 1" {
	mkfifo in
	e3-view --listen 127.0.0.1:0 --stay --pass in >out.e3 2>log 3>&- &
	pid=$!
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/make_pred.py" - frames=2 "abort=the camera was unplugged" >in
	wait_until 30 has_text log "the camera was unplugged"
	url=$(sed -n 's/.*the page: //p' log)
	check state "$url" failed "the camera was unplugged"
	stop 1
	fails 1 "the camera was unplugged" -- e3-dump out.e3
}

@test "an address that is taken, and one that is none" {
	serve "$f/run.e3"
	local at=${url#http://}
	fails 1 "e3-view: listening: ${at%/}: Address already in use" -- e3-view --listen "${at%/}" "$f/run.e3"
	fails 1 "listening: 8033: expected HOST:PORT" -- e3-view --listen 8033 "$f/run.e3"
	fails 1 "listening: ::1:8033: expected HOST:PORT, [ADDRESS]:PORT for IPv6" -- e3-view --listen ::1:8033 "$f/run.e3"
	fails 1 "listening: localhost:65536: expected HOST:PORT" -- e3-view --listen localhost:65536 "$f/run.e3"
	run e3-view --listen 127.0.0.1:0 none.e3
	[ "$status" -eq 1 ]
	[ "$output" = "e3-view: opening: none.e3: No such file or directory" ]
	fails 1 "listening: no-such-host.invalid: " -- e3-view --listen no-such-host.invalid:0 "$f/run.e3"
}

@test "--html writes the page into a file; not beside a server, not of nothing" {
	e3-view --html page.html "$f/run.e3" "$f/large.e3"
	grep -q 'class="e3-records"' page.html
	e3-cat "$f/run.e3" | e3-view --html piped.html
	[ "$(wc -c <piped.html)" -lt "$(wc -c <page.html)" ]
	fails 2 "--html and --pass: a file is written after the end of the stream" -- e3-view --html x.html --pass "$f/run.e3"
	fails 2 "--stay: not with --html" -- e3-view --html x.html --stay "$f/run.e3"
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/make_pred.py" empty.e3 frames=0
	fails 1 "the stream has no frames: nothing to show" -- e3-view --html x.html empty.e3
	[ ! -e x.html ]
	# what came before a failure is kept
	head -c -9 "$f/run.e3" >cut.e3
	fails 1 "e3-view: writing: x.html: cut short: the 6 frames that came are kept in x.html.partial" -- e3-view --html x.html cut.e3
	has_text "$T/stderr" "cut.e3: truncated"
	[ "$(grep -c '</html>' x.html.partial)" -eq 1 ]
	grep -o '[A-Za-z0-9+/=]\{200,\}' x.html.partial | base64 -d | grep -qa '"state":"failed","reason":"reading: cut.e3: truncated'
	[ ! -e x.html ]
}

@test "a signal while --html writes a recording ends it at once" {
	local rc=0
	mkfifo page
	e3-view --html page "$f/run.e3" &
	pid=$!
	exec 7<page
	head -c 100 <&7 >/dev/null
	kill -TERM "$pid"
	[ "$(grep -c '</html>' <&7)" -eq 0 ]
	exec 7<&-
	wait "$pid" || rc=$?
	[ "$rc" -eq 143 ]
}
