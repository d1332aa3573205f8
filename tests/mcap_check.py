#!/usr/bin/python3
"""Reads an MCAP file of e3-export without its code: the container by MCAP's specification, the messages by Debian's protobuf library and the
descriptions in the file, which are compared with Foxglove's published ones.

whole MCAP               every record, checksum, index and statistic
frames MCAP STREAM PLY   the same, and that its messages are the stream's predictions, and its points those of a PLY with --ply-frame
facts MCAP               channels with their counts, chunks, first and last time, the metadata
"""
import io
import struct
import sys
import zlib

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool

import e3read
import make_pred

try:
    from google.protobuf.message_factory import GetMessageClass
except ImportError:  # before 4.22
    from google.protobuf.message_factory import MessageFactory

    def GetMessageClass(d):
        return MessageFactory().GetPrototype(d)

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = range(11, 16)

# What Foxglove publishes: field, number, type (of protobuf), whether it is repeated.
STAMP = ("timestamp", 1, "google.protobuf.Timestamp")
PUBLISHED = {
    "google.protobuf.Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
    "foxglove.Vector3": [("x", 1, "double"), ("y", 2, "double"), ("z", 3, "double")],
    "foxglove.Quaternion": [("x", 1, "double"), ("y", 2, "double"), ("z", 3, "double"), ("w", 4, "double")],
    "foxglove.Pose": [("position", 1, "foxglove.Vector3"), ("orientation", 2, "foxglove.Quaternion")],
    "foxglove.FrameTransform": [STAMP, ("parent_frame_id", 2, "string"), ("child_frame_id", 3, "string"),
                                ("translation", 4, "foxglove.Vector3"), ("rotation", 5, "foxglove.Quaternion")],
    "foxglove.FrameTransforms": [("transforms", 1, "repeated foxglove.FrameTransform")],
    "foxglove.CameraCalibration": [STAMP, ("frame_id", 9, "string"), ("width", 2, "fixed32"), ("height", 3, "fixed32"),
                                   ("distortion_model", 4, "string"), ("D", 5, "repeated double"), ("K", 6, "repeated double"),
                                   ("R", 7, "repeated double"), ("P", 8, "repeated double")],
    "foxglove.CompressedImage": [STAMP, ("frame_id", 4, "string"), ("data", 2, "bytes"), ("format", 3, "string")],
    "foxglove.RawImage": [STAMP, ("frame_id", 7, "string"), ("width", 2, "fixed32"), ("height", 3, "fixed32"), ("encoding", 4, "string"),
                          ("step", 5, "fixed32"), ("data", 6, "bytes")],
    "foxglove.PackedElementField": [("name", 1, "string"), ("offset", 2, "fixed32"), ("type", 3, "foxglove.PackedElementField.NumericType")],
    "foxglove.PointCloud": [STAMP, ("frame_id", 2, "string"), ("pose", 3, "foxglove.Pose"), ("point_stride", 4, "fixed32"),
                            ("fields", 5, "repeated foxglove.PackedElementField"), ("data", 6, "bytes")],
    "foxglove.PosesInFrame": [STAMP, ("frame_id", 2, "string"), ("poses", 3, "repeated foxglove.Pose")],
}
NUMERIC = {"UNKNOWN": 0, "UINT8": 1, "INT8": 2, "UINT16": 3, "INT16": 4, "UINT32": 5, "INT32": 6, "FLOAT32": 7, "FLOAT64": 8}
POINT = np.dtype([("xyz", "<f4", 3), ("confidence", "<f4"), ("rgb", "u1", 3), ("alpha", "u1")])
TOPICS = {"/tf": "FrameTransforms", "/camera/calibration": "CameraCalibration", "/camera/image": "CompressedImage", "/camera/depth": "RawImage",
          "/points": "PointCloud", "/map": "PointCloud", "/path": "PosesInFrame"}


def need(good, text):
    if not good:
        sys.exit("differs: " + text)


class Reader:
    """Numbers and texts one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), f"a record ends early: {n} bytes at {self.at} of {len(self.data)}")
        self.at += n
        return self.data[self.at - n:self.at]

    def n(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def one(self, form):
        return self.n(form)[0]

    def text(self):
        return bytes(self.take(self.one("I"))).decode()

    def part(self):
        """What has its length in 4 bytes before it."""
        return Reader(self.take(self.one("I")))

    def more(self):
        return self.at < len(self.data)

    def done(self, what):
        need(not self.more(), f"{what}: {len(self.data) - self.at} bytes too many")


def records(data, start, end):
    """(kind, where it begins, its length, Reader of what it has)."""
    at = start
    while at < end:
        kind, n = struct.unpack_from("<BQ", data, at)
        need(at + 9 + n <= end, f"the record at {at} is longer than what holds it")
        yield kind, at, 9 + n, Reader(memoryview(data)[at + 9:at + 9 + n])
        at += 9 + n


class Mcap:
    def __init__(self, path):
        self.data = d = open(path, "rb").read()
        need(d[:8] == MAGIC and d[-8:] == MAGIC, "magic")
        kind, n, self.summary, self.offsets, crc = struct.unpack_from("<BQQQI", d, len(d) - 37)
        need((kind, n) == (FOOTER, 20), "no footer before the last magic")
        need(zlib.crc32(d[self.summary:len(d) - 12]) == crc, "checksum of the summary")
        self.schemas, self.channels, self.messages, self.chunks, self.metadata, self.sent = {}, {}, [], [], {}, {}
        self.read_data()
        self.read_summary()

    def read_data(self):
        indices, last = {}, None
        for kind, at, n, r in records(self.data, 8, self.summary):
            need(last is not None or kind == HEADER, "the first record is not a header")
            if kind == HEADER:
                self.profile, self.writer = r.text(), r.text()
            elif kind == METADATA:
                name, pairs = r.text(), r.part()
                self.metadata[name] = {}
                while pairs.more():
                    key = pairs.text()
                    self.metadata[name][key] = pairs.text()
            elif kind == CHUNK:
                indices = self.read_chunk(at, n, r)
            elif kind == MESSAGE_INDEX:
                channel, entries = r.one("H"), r.part()
                need(list(entries.data) and indices.pop(channel, None) == bytes(entries.data), f"index of channel {channel} at {at}")
                self.chunks[-1]["offsets"][channel] = at
                self.chunks[-1]["index"] += n
            elif kind == DATA_END:
                need(at + n == self.summary, "records after the end of the data")
                need(r.one("I") == zlib.crc32(self.data[:at]), "checksum of the data")
            else:
                need(False, f"a record of kind {kind} outside of chunks")
            need(kind in (MESSAGE_INDEX, CHUNK) or not indices, "messages without an index")
            r.done(f"kind {kind} at {at}")
            last = kind
        need(last == DATA_END, "no end of the data")

    def read_chunk(self, at, n, r):
        start, end, size, crc = r.n("QQQI")
        compression, length = r.text(), r.one("Q")
        inside, index, times = bytes(r.take(length)), {}, []
        need(compression == "" and length == size and zlib.crc32(inside) == crc, f"the chunk at {at}")
        for kind, where, _, m in records(inside, 0, size):
            if kind == SCHEMA:
                i, name, encoding = m.one("H"), m.text(), m.text()
                need(i and i not in self.schemas, f"schema {i}")
                self.schemas[i] = (name, encoding, bytes(m.take(m.one("I"))))
                m.done("a schema")
            elif kind == CHANNEL:
                i, schema, topic, encoding, extra = m.one("H"), m.one("H"), m.text(), m.text(), m.part()
                need(i not in self.channels and schema in self.schemas and not extra.more(), f"channel {i}")
                self.channels[i] = (schema, topic, encoding)
                m.done("a channel")
            else:
                need(kind == MESSAGE, f"kind {kind} in a chunk")
                channel, sequence, log, publish = m.n("HIQQ")
                need(channel in self.channels and log == publish, "a message of an unknown channel or of two times")
                need(sequence == self.sent.get(channel, 0), "a message is missing or twice")
                self.sent[channel] = sequence + 1
                self.messages.append((channel, log, bytes(m.take(len(m.data) - m.at))))
                index[channel] = index.get(channel, b"") + struct.pack("<QQ", log, where)
                times.append(log)
        need(times and (min(times), max(times)) == (start, end), f"times of the chunk at {at}")
        self.chunks.append({"span": (start, end), "at": at, "length": n, "size": size, "offsets": {}, "index": 0})
        return index

    def read_summary(self):
        groups, indices, chunks = {}, {}, []
        for kind, at, n, r in records(self.data, self.summary, self.offsets):
            first, size = groups.get(kind, (at, 0))
            need(first + size == at, f"records of kind {kind} are not together")
            groups[kind] = (first, size + n)
            if kind == SCHEMA:
                i, name, encoding = r.one("H"), r.text(), r.text()
                need(self.schemas[i] == (name, encoding, bytes(r.take(r.one("I")))), f"schema {i} is another one in the summary")
            elif kind == CHANNEL:
                i, schema, topic, encoding, _ = r.one("H"), r.one("H"), r.text(), r.text(), r.part()
                need(self.channels[i] == (schema, topic, encoding), f"channel {i} is another one in the summary")
            elif kind == STATISTICS:
                self.check_statistics(r)
            elif kind == METADATA_INDEX:
                where, length = r.n("QQ")
                indices[r.text()] = (where, length)
            elif kind == CHUNK_INDEX:
                span, where, length, offsets = r.n("QQ"), r.one("Q"), r.one("Q"), r.part()
                of = {}
                while offsets.more():
                    channel = offsets.one("H")
                    of[channel] = offsets.one("Q")
                index, compression, sizes = r.one("Q"), r.text(), r.n("QQ")
                need(compression == "" and sizes[0] == sizes[1], "sizes of a chunk")
                chunks.append({"span": span, "at": where, "length": length, "size": sizes[0], "offsets": of, "index": index})
            else:
                need(False, f"kind {kind} in the summary")
            r.done(f"kind {kind} of the summary")
        need(chunks == self.chunks, "the index of chunks")
        need(groups[SCHEMA][1] and groups[CHANNEL][1] and STATISTICS in groups, "the summary lacks a part")
        for name, (where, length) in indices.items():
            kind, _, n, r = next(records(self.data, where, self.summary))
            need((kind, n, r.text()) == (METADATA, length, name), "the index of metadata")
        need(indices.keys() == self.metadata.keys(), "metadata without an index")
        offsets = {}
        for kind, at, n, r in records(self.data, self.offsets, len(self.data) - 37):
            need(kind == SUMMARY_OFFSET, "kind of a record after the summary")
            group = r.one("B")
            offsets[group] = r.n("QQ")
        need(offsets == groups, f"places in the summary: {offsets}, not {groups}")

    def check_statistics(self, r):
        counts = [m[0] for m in self.messages]
        messages, schemas, channels, attachments, metadata, chunks, first, last, each = *r.n("QHIIIIQQ"), r.part()
        need((messages, schemas, channels) == (len(counts), len(self.schemas), len(self.channels)), "counts")
        need((attachments, metadata, chunks) == (0, len(self.metadata), len(self.chunks)), "counts of other records")
        times = [m[1] for m in self.messages]
        need((first, last) == (min(times), max(times)), "times")
        found = {}
        while each.more():
            channel = each.one("H")
            found[channel] = each.one("Q")
        need(found == {c: counts.count(c) for c in self.channels}, "counts of the channels")

    def classes(self):
        """Of each channel: what reads its messages, from the description in the file."""
        out = {}
        for i, (schema, topic, encoding) in self.channels.items():
            name, how, description = self.schemas[schema]
            need(encoding == how == "protobuf" and name == "foxglove." + TOPICS[topic], f"{topic} has {name}")
            files, pool = descriptor_pb2.FileDescriptorSet.FromString(description), descriptor_pool.DescriptorPool()
            for f in files.file:
                pool.Add(f)
                for m in f.message_type:
                    self.check_published(f"{f.package}.{m.name}", m, f)
            need(len({f.name for f in files.file}) == len(files.file), f"{name}: a file is twice")
            out[topic] = GetMessageClass(pool.FindMessageTypeByName(name))
        return out

    @staticmethod
    def check_published(name, m, f):
        kinds = descriptor_pb2.FieldDescriptorProto
        mine = []
        for x in m.field:
            kind = x.type_name[1:] if x.type_name else kinds.Type.Name(x.type)[5:].lower()
            mine.append((x.name, x.number, ("repeated " if x.label == kinds.LABEL_REPEATED else "") + kind))
        need(mine == PUBLISHED[name], f"{name} is {mine}")
        need(f.syntax == "proto3" and f.name == (name.replace(".", "/") if f.package == "foxglove" else name.replace(".", "/").lower()) + ".proto",
             f"{name} in {f.name}")
        need([e.name for e in m.enum_type] == (["NumericType"] if name.endswith("PackedElementField") else []), f"{name}: enums")
        for e in m.enum_type:
            need({v.name: v.number for v in e.value} == NUMERIC, f"{name}: values")

    def topic(self, classes, name):
        """(time, message) of a topic, in the order of the file."""
        return [(t, classes[name].FromString(b)) for c, t, b in self.messages if self.channels[c][1] == name]


def close(a, b, text, bound=1e-6):
    a, b = np.asarray(a, float), np.asarray(b, float)
    need(a.shape == b.shape and np.allclose(a, b, rtol=bound, atol=bound, equal_nan=True), f"{text}: {a}, not {b}")


def numbers(m):
    return [getattr(m, k) for k in "xyzw" if hasattr(m, k)]


def points(m):
    layout = [(f.name, f.offset, f.type) for f in m.fields]
    need(layout == [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("confidence", 12, 7), ("red", 16, 1), ("green", 17, 1), ("blue", 18, 1), ("alpha", 19, 1)]
         and m.point_stride == 20 and m.frame_id == "world", f"layout of points: {layout}")
    close([*numbers(m.pose.position), *numbers(m.pose.orientation)], [0, 0, 0, 0, 0, 0, 1], "pose of points")
    p = np.frombuffer(m.data, POINT)
    need((p["alpha"] == 255).all(), "alpha")
    return p


def ply(path):
    raw = open(path, "rb").read()
    head, body = raw.split(b"end_header\n", 1)
    kind = {"float": "<f4", "uchar": "u1", "int": "<i4"}
    fields = [line.split()[1:] for line in head.decode().splitlines() if line.startswith("property")]
    return np.frombuffer(body, np.dtype([(name, kind[k]) for k, name in fields]))


def stamp(m):
    return m.timestamp.seconds * 10**9 + m.timestamp.nanos


def times_of(preds):
    first = preds[0]
    start = first.get("t_capture") or max(first["pts"], 0)
    start = int(start) * 10**9 + round(start % 1 * 1e9)
    return [max(start + round((p["pts"] - first["pts"]) * 1e9), 0) for p in preds]


def check_camera(p, tf, calibration):
    """Where the camera is, and how the world is turned upright: the rotation of the latter."""
    world, camera = tf.transforms
    names = [(x.parent_frame_id, x.child_frame_id) for x in tf.transforms]
    need(names == [("upright", "world"), ("world", "camera")], f"frames of reference: {names}")
    pose = p["pose"].astype(float)
    r = make_pred.rotation(pose[3:7])
    close(make_pred.rotation(numbers(camera.rotation)), r.T, "rotation of the camera")
    close(numbers(camera.translation), -r.T @ pose[:3], "place of the camera")
    close(numbers(world.translation), [0, 0, 0], "place of the world")
    w, h = p["w"], p["h"]
    need((calibration.frame_id, calibration.width, calibration.height, calibration.distortion_model) == ("camera", w, h, "plumb_bob"), "calibration")
    fy, fx = h / 2 / np.tan(pose[7] / 2), w / 2 / np.tan(pose[8] / 2)
    if not 0 < pose[7] < np.pi or not 0 < pose[8] < np.pi:
        fx = fy = 0
    # in OpenCV's pixels, whose first has its centre at 0
    k = np.array([[fx, 0, w / 2 - 0.5], [0, fy, h / 2 - 0.5], [0, 0, 1]])
    close(np.reshape(calibration.K, (3, 3)), k, "K")
    close(np.reshape(calibration.P, (3, 4)), np.hstack([k, np.zeros((3, 1))]), "P")
    close(np.reshape(calibration.R, (3, 3)), np.eye(3), "R")
    close(calibration.D, [0] * 5, "D")
    return make_pred.rotation(numbers(world.rotation))


def check_picture(p, m):
    from PIL import Image
    im = np.asarray(Image.open(io.BytesIO(m.data)).convert("RGB")).astype(float)
    need((m.frame_id, m.format, im.shape) == ("camera", "jpeg", p["rgb"].shape), "a picture")
    # blocks, since a JPEG keeps no noise; and their mean, since noise beyond black and white is cut off
    h, w = p["h"] // 8 * 8, p["w"] // 8 * 8
    mean = [x[:h, :w].reshape(h // 8, 8, w // 8, 8, 3).mean((1, 3)) for x in (im, p["rgb"].astype(float))]
    off = np.abs(mean[0] - mean[1])
    need(off.max() < 20 and off.mean() < 3, f"colours of a picture, by {off.mean():.1f}, {off.max():.1f} at most")


def check_depth(p, m):
    h, w = p["depth"].shape
    need((m.frame_id, m.width, m.height, m.encoding, m.step, len(m.data)) == ("camera", w, h, "32FC1", 4 * w, 4 * w * h), "a depth map")
    d = np.frombuffer(m.data, "<f4").reshape(h, w)
    known = np.isfinite(p["depth"]) & (p["depth"] > 1e-8)
    need(np.array_equal(d[known], p["depth"][known]) and np.isnan(d[~known]).all(), "depth")


def check_points(m, preds, times, cloud, path):
    file, found = ply(path), m.topic(cloud, "/points")
    need([t for t, _ in found] == times, "times of the points")
    total = 0
    for (t, message), p in zip(found, preds):
        mine, want = points(message), file[file["frame"] == p["i"]]
        need(stamp(message) == t and len(mine) == len(want), f"frame {p['i']} has {len(mine)} points, not {len(want)}")
        need(np.array_equal(mine["xyz"], np.stack([want[k] for k in "xyz"], -1)), f"positions of frame {p['i']}")
        need(np.array_equal(mine["confidence"], want["confidence"]), f"confidences of frame {p['i']}")
        need(np.array_equal(mine["rgb"], np.stack([want[k] for k in ("red", "green", "blue")], -1)), f"colours of frame {p['i']}")
        total += len(mine)
    need(total == len(file), "points of frames that are not there")
    whole = m.topic(cloud, "/map")
    need(len(whole) == (total > 0), "maps")
    for t, message in whole:
        got = points(message)
        need(t == times[0] and len(got) == min(total, 500000), f"the map has {len(got)} points")
        rows = {x.tobytes() for x in np.concatenate([points(x) for _, x in found])}
        need(all(x.tobytes() in rows for x in got), "the map has points that are in no frame")
    return total


def frames(path, stream, of):
    m = Mcap(path)
    classes, preds = m.classes(), e3read.messages(stream, "pred")
    need(set(classes) == set(TOPICS), "topics")
    times, turns = times_of(preds), []
    by_time = {name: dict(m.topic(classes, name)) for name in TOPICS}
    posed = [p for p in preds if "pose" in p]
    for p, t in zip(preds, times):
        tf = by_time["/tf"][t]
        for name, key in (("/camera/image", "rgb"), ("/camera/depth", "depth"), ("/camera/calibration", "pose")):
            need((t in by_time[name]) == (key in p), f"frame {p['i']}: {name}")
            need(t not in by_time[name] or stamp(by_time[name][t]) == t, f"frame {p['i']}: stamp of {name}")
        need(all(stamp(x) == t for x in tf.transforms), "stamps of transforms")
        if "pose" in p:
            turns.append(check_camera(p, tf, by_time["/camera/calibration"][t]))
        if "rgb" in p:
            check_picture(p, by_time["/camera/image"][t])
        if "depth" in p:
            check_depth(p, by_time["/camera/depth"][t])
    need(m.messages == sorted(m.messages, key=lambda x: x[1]), "the order of times")
    for turn in turns:
        close(turn, turns[0], "the world turns")
    total = check_points(m, preds, times, classes, of)
    paths = m.topic(classes, "/path")
    need(len(paths) == (len(posed) > 0), "paths")
    for t, message in paths:
        need(t == times[0] and message.frame_id == "world" and len(message.poses) == len(posed), "the path")
        for p, pose in zip(posed, message.poses):
            r = make_pred.rotation(p["pose"][3:7].astype(float))
            close(numbers(pose.position), -r.T @ p["pose"][:3].astype(float), "the path")
            close(make_pred.rotation(numbers(pose.orientation)), r.T, "the path's rotations")
    up = np.round(turns[0], 3).tolist() if turns else None
    print(f"{path}: {len(preds)} frames, {total} points, {len(m.chunks)} chunks, {len(m.messages)} messages; upright {up}")


def whole(path):
    m = Mcap(path)
    m.classes()
    print(f"{path}: {len(m.chunks)} chunks, {len(m.messages)} messages")


def facts(path):
    m = Mcap(path)
    for i, (_, topic, _) in sorted(m.channels.items()):
        print(topic, sum(x[0] == i for x in m.messages))
    print("chunks", len(m.chunks))
    print("times", min(x[1] for x in m.messages), max(x[1] for x in m.messages))
    for name, pairs in m.metadata.items():
        for key, value in pairs.items():
            print(name, key, value)


if __name__ == "__main__":
    {"whole": whole, "frames": frames, "facts": facts}[sys.argv[1]](*sys.argv[2:])
