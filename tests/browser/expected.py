"""What the page's canvas must show: points of a stream projected by numpy, and how far a screenshot is from that."""
import numpy as np

from wire import camera, points


def cloud(predictions, step=1, moved=None):
    """World points, colours and widths of predictions: what a point has of the picture that all share. moved: {index: 3 x 4}."""
    xyz, rgb, wide = [], [], []
    for p in predictions:
        m, k = camera(p)
        x, c, _ = points(p, step)
        grown = 1.0
        share = np.sqrt(p["w"] * p["h"] / np.clip(p["w"] * p["h"] / step**2, 4000, 40000) / (k[0] * k[1]))
        wide.append(x[:, 2] * share)
        x = x @ m[:, :3].T + m[:, 3]
        if moved and p["i"] in moved:
            m = moved[p["i"]]
            grown = np.cbrt(np.linalg.det(m[:, :3]))
            x = x @ m[:, :3].T + m[:, 3]
        wide[-1] *= grown
        xyz.append(x)
        rgb.append(c)
    return np.concatenate(xyz), np.concatenate(rgb), np.concatenate(wide)


def project(xyz, m):
    """Columns, rows and distances of world points on the canvas, by what the page says it draws with (scene.matrices())."""
    matrix = np.array(list(m["matrix"].values()) if isinstance(m["matrix"], dict) else m["matrix"], float).reshape(4, 4).T
    clip = np.c_[xyz, np.ones(len(xyz))] @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = clip[:, 0] / clip[:, 3], clip[:, 1] / clip[:, 3]
    ahead = (clip[:, 3] > 0) & (np.abs(clip[:, 2]) <= clip[:, 3])
    return (x + 1) / 2 * m["width"], (1 - y) / 2 * m["height"], np.where(ahead, clip[:, 3], np.inf)


def draw(xyz, rgb, wide, m):
    """A picture of points as squares as wide as they are there, the nearest in front: which pixels have one, and their colours."""
    x, y, d = project(xyz, m)
    w, h = int(m["width"]), int(m["height"])
    size = np.clip(m["pointSize"] * wide / d, *m["sizes"])
    front, who = np.full(w * h, np.inf), np.full(w * h, -1)
    order = np.argsort(-d, kind="stable")  # the farthest first: the nearest is written last
    order = order[np.isfinite(d[order])]
    low, high = np.ceil(np.stack([x, y]) - size / 2 - 0.5), np.ceil(np.stack([x, y]) + size / 2 - 0.5)  # pixels whose centres are inside
    for dy in range(int(np.ceil(size[order].max(initial=0))) + 1):
        for dx in range(int(np.ceil(size[order].max(initial=0))) + 1):
            c, r = low[0, order] + dx, low[1, order] + dy
            good = (c < high[0, order]) & (r < high[1, order]) & (c >= 0) & (r >= 0) & (c < w) & (r < h)
            at, k = (r[good] * w + c[good]).astype(int), order[good]
            last = np.full(w * h, -1)
            last[at] = k  # of those on one pixel the last: the nearest
            there = np.flatnonzero(last >= 0)
            there = there[d[last[there]] < front[there]]
            front[there], who[there] = d[last[there]], last[there]
    out = np.zeros((h * w, 3), np.uint8)
    out[who >= 0] = rgb[who[who >= 0]]
    return (who >= 0).reshape(h, w), out.reshape(h, w, 3)


def grown(mask, by=1):
    """The mask and what is beside it."""
    out = mask.copy()
    for dy in range(-by, by + 1):
        for dx in range(-by, by + 1):
            out |= np.roll(mask, (dy, dx), (0, 1))
    return out


def compare(shot, seen, rgb, background):
    """Shares: of the expected pixels that are covered, of the covered that are expected (or beside one), and of pixels in both whose
    colour is near that of an expected pixel within one of it."""
    covered = np.abs(shot.astype(int) - np.asarray(background, int)).max(-1) > 10
    both = covered & seen
    best = np.full(both.shape, 255)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            there = np.roll(seen, (dy, dx), (0, 1))
            off = np.abs(np.roll(rgb, (dy, dx), (0, 1)).astype(int) - shot.astype(int)).max(-1)
            best = np.where(there, np.minimum(best, off), best)
    return {"found": float(both.sum() / max(seen.sum(), 1)), "wanted": float((covered & grown(seen)).sum() / max(covered.sum(), 1)),
            "colour": float((best[both] <= 24).mean()) if both.any() else 0.0, "pixels": int(covered.sum())}
