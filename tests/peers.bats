#!/usr/bin/env bats
# A peer that connects and is killed before it has sent or received a message. Other failures between stages: faults.bats.
load common
load network

prepare() {
	cd "$T" || return 1
	a=tcp://127.0.0.1:$(port)
	b=tcp://127.0.0.1:$(port)
}

# Each side with the default --timeout of a minute; "ends" allows a fraction of it.
@test "a peer is killed before the first message: the other side fails, over TCP, ipc, and with keys" {
	e3-cat --keygen server
	e3-cat --keygen client
	listens=(--curve-key server --curve-allow client.pub)
	connects=(--curve-key client --curve-server server.pub)
	for at in "$a" "ipc://$T/s" "curve $b"; do
		here=() there=()
		[ "$at" = "${at#curve }" ] || here=("${listens[@]}") there=("${connects[@]}")
		at=${at#curve }
		rm -f in err
		mkfifo in
		e3-cat -v "${here[@]}" "zmq:pull:$at" y.e3 2>err &
		reader=$!
		e3-cat "${there[@]}" in "zmq:push:$at" &
		writer=$!
		exec 7>in
		said err "a writer connected"
		kill -9 $writer
		ends 1 $reader 10
		said err "reading: zmq:pull:$at: truncated: the writer disconnected before the end of the stream"
		[ ! -e y.e3 ]
		exec 7>&-
		rm -f in err
		mkfifo in
		e3-cat -v "${there[@]}" in "zmq:push:$at" 2>err &
		writer=$!
		exec 7>in
		e3-cat "${here[@]}" "zmq:pull:$at" y.e3 7>&- &
		reader=$!
		said err "a reader connected"
		kill -9 $reader
		ends 1 $writer 10 # it waits for its input
		said err "writing: zmq:push:$at: the reader disconnected before the end of the stream"
		exec 7>&-
	done
}

@test "a publisher is killed before the first message: the subscriber says so and waits" {
	mkfifo in
	e3-cat -v in "zmq:pub:$a" 2>err1 &
	publisher=$!
	exec 7>in
	e3-cat --timeout 8 "zmq:sub:$a" y.e3 2>err 7>&- &
	subscriber=$!
	said err1 "a subscriber connected"
	kill -9 $publisher
	said err "the publisher disconnected; waiting for it to connect again"
	ends 1 $subscriber 10
	said err "no publisher connected again within 8 s (--timeout)"
	exec 7>&-
}
