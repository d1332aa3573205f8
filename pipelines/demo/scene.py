"""scene.png: the mesh of the demo and the cameras that saw it, rendered by Blender (3.4 or later).

    blender -b --python-exit-code 1 -P pipelines/demo/scene.py -- out/demo-mesh.glb out/demo.glb pipelines/demo/scene.png

Both files are of pipelines/demo/run.sh. Cycles on the CPU; needs Pillow to reduce the picture to 256 colours.
"""
import json
import os
import struct
import sys
import tempfile

import bpy
from mathutils import Vector

SIZE = (1100, 850)
SAMPLES = 80


def lines(path):
    """Line segments of a GLB in Blender's axes: (a, b, colour)."""
    data = open(path, "rb").read()
    n = struct.unpack("<I", data[12:16])[0]
    doc = json.loads(data[20:20 + n])
    blob = data[20 + n + 8:]

    def read(index):
        a = doc["accessors"][index]
        v = doc["bufferViews"][a["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[a["type"]]
        code, size, full = {5126: ("f", 4, 1), 5125: ("I", 4, 1), 5123: ("H", 2, 65535), 5121: ("B", 1, 255)}[a["componentType"]]
        full = full if a.get("normalized") else 1
        start = v.get("byteOffset", 0) + a.get("byteOffset", 0)
        step = v.get("byteStride", width * size)
        rows = (struct.unpack_from(f"<{width}{code}", blob, start + i * step) for i in range(a["count"]))
        return [tuple(x / full for x in r) for r in rows] if full != 1 else list(rows)

    out = []
    for mesh in doc["meshes"]:
        for p in mesh["primitives"]:
            if p.get("mode", 4) not in (1, 3):
                continue
            pos = [Vector((x, -z, y)) for x, y, z in read(p["attributes"]["POSITION"])]
            colour = read(p["attributes"]["COLOR_0"]) if "COLOR_0" in p["attributes"] else [(0, 0, 0)] * len(pos)
            index = [i[0] for i in read(p["indices"])] if "indices" in p else range(len(pos))
            pairs = zip(index, index[1:]) if p["mode"] == 3 else zip(index[::2], index[1::2])
            out += [(pos[i], pos[j], tuple(round(c, 2) for c in colour[i][:3])) for i, j in pairs]
    return out


def tubes(segments, radius):
    """Thin glowing tubes along segments, one object for each colour."""
    for rgb in sorted({s[2] for s in segments}):
        curve = bpy.data.curves.new("lines", "CURVE")
        curve.dimensions, curve.bevel_depth, curve.use_fill_caps = "3D", radius, True
        for a, b, _ in (s for s in segments if s[2] == rgb):
            line = curve.splines.new("POLY")
            line.points.add(1)
            line.points[0].co, line.points[1].co = (*a, 1), (*b, 1)
        m = bpy.data.materials.new("lines")
        m.use_nodes = True
        m.node_tree.nodes.clear()
        glow, end = m.node_tree.nodes.new("ShaderNodeEmission"), m.node_tree.nodes.new("ShaderNodeOutputMaterial")
        glow.inputs["Color"].default_value = (*rgb, 1)
        m.node_tree.links.new(glow.outputs[0], end.inputs[0])
        curve.materials.append(m)
        o = bpy.data.objects.new("lines", curve)
        o.visible_shadow = False
        bpy.context.collection.objects.link(o)


def main():
    mesh, points, picture = sys.argv[sys.argv.index("--") + 1:]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # not NORMALS: that way of the importer of 3.4 fails with numpy 1.24 or later
    bpy.ops.import_scene.gltf(filepath=mesh, import_shading="SMOOTH")
    scene = bpy.context.scene
    surface = next(o for o in scene.objects if o.type == "MESH")
    corners = [surface.matrix_world @ Vector(c) for c in surface.bound_box]
    low, high = Vector(map(min, zip(*corners))), Vector(map(max, zip(*corners)))
    scale = (high - low).length
    # the first camera is at the origin, or near, and looks along y: stand behind it, higher
    segments = lines(points)
    tubes(segments, 0.0012 * scale)

    world = scene.world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.85
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.data.angle = 1.3, 0.2
    sun.rotation_euler = (0.5, -0.35, 0)
    scene.collection.objects.link(sun)

    middle = low * 0.5 + high * 0.5
    eye = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
    eye.location = Vector((-0.6, -1.05, 0.5)) * scale
    target = middle + Vector((0, -0.2, 0)) * scale
    eye.rotation_euler = (target - eye.location).to_track_quat("-Z", "Y").to_euler()
    eye.data.lens = 60
    scene.collection.objects.link(eye)
    scene.camera = eye

    scene.render.engine = "CYCLES"
    scene.cycles.samples = int(os.environ.get("SAMPLES", SAMPLES))
    scene.cycles.use_denoising = False  # Debian's Blender has no denoiser
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = os.path.join(folder, "scene.png")
        bpy.ops.render.render(write_still=True)
        reduce(scene.render.filepath, picture)


def reduce(source, target):
    """On white, cut to what is drawn, in 256 colours."""
    from PIL import Image
    im = Image.open(source).convert("RGBA")
    left, top, right, bottom = im.getbbox()
    im = im.crop((max(left - 8, 0), max(top - 8, 0), min(right + 8, im.width), min(bottom + 8, im.height)))
    white = Image.new("RGBA", im.size, "white")
    white.alpha_composite(im)
    white.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


main()
