#!/usr/bin/env bats
# Pictures of every kind that people have, read by e3-decode as Pillow and other programs read them (tests/pictures.py).
load common

by_pillow() { T=$T /usr/bin/python3 -B "$ROOT/tests/pictures.py" "$1"; }

@test "JPEGs on a pipe: padding, videos, other pictures and damage between them" {
	by_pillow pipes
}

@test "JPEG files with something behind the picture, or without their end marker" {
	by_pillow files
}
