#!/usr/bin/env bats
# Pictures of every kind that people have, read by e3-decode as Pillow and other programs read them (tests/pictures.py).
load common

by_pillow() { T=$T /usr/bin/python3 -B "$ROOT/tests/${2:-pictures}.py" "$1"; }

@test "JPEGs on a pipe: padding, videos, other pictures and damage between them" {
	by_pillow pipes
}

@test "JPEG files with something behind the picture, or without their end marker" {
	by_pillow files
}

@test "PNG without their end, or with a damaged one, in files and on a pipe" {
	by_pillow png_ends pictures_more
}

@test "the orientation of a PNG, wherever programs write its EXIF" {
	by_pillow png_exif pictures_more
}

@test "WebP, TIFF, BMP, GIF, JPEG 2000, JPEG XL, HEIC and AVIF, in files and on a pipe; cut in half they are damaged" {
	by_pillow kinds
}

@test "orientation 1 to 8 of JPEG, PNG, WebP and TIFF; as stored on request" {
	by_pillow turned
}

@test "HEIC and AVIF are turned and mirrored as their properties say, once, whatever EXIF says" {
	by_pillow heif_turned
}

@test "raw files and animated WebP are refused by name, other files of a folder named in one note" {
	by_pillow refused
}

@test "an animated PNG or GIF is a video when alone; a GIF that does not move is a picture" {
	by_pillow animated
}

@test "names by a pattern: all numbers across gaps, or as in a shell" {
	by_pillow patterns pictures_more
}

@test "--images writes the very pictures that were sent, and frames carry their names" {
	by_pillow images
	fails 2 "--images" -- e3-decode --dataset sintel --root "$T" --images "$T/x"
}

@test "--images: pictures are there while the stream runs" {
	by_pillow images_live
}
