"""Hostile inputs made of good ones: a function of (class, seed) alone."""

import json
import random
from pathlib import Path

JUNK = [
    "nan", "inf", "-inf", "1e30", "-1", "0", "", "9" * 5000, "1/0", "\x00", "\ud800", "=1+1", "../x", "/", "x" * 300,
    "None", "true", "[]", "{}", "ä\u202e", str(2**63), "1e-320", "0x10", "largest", "index:0", "point:1,2",
]  # fmt: skip


PATHS = [
    "person.mp4", "words.wav", "./words.wav", "lips.npz", "model", "missing.mp4", "model/renderer.safetensors", "l.csv",
]  # fmt: skip
MOMENTS = ["0", "0.04", "0.1", "0.3", "-0.0", "1e-9", "5", "500"]
FACES = ["largest", "center", "index:0", "index:9", "point:128,96", "point:-1,-1", "left"]
ODD = {
    "list": {
        "video": PATHS, "audio": PATHS, "mux_audio": PATHS, "style_video": PATHS, "motion_in": PATHS, "segments": PATHS,
        "output": ["c c.mp4", "\u00fc/\u00df.mp4", ".mp4", "x" * 240 + ".mp4", "d/../c.mp4", "c.mov", "c", "c.png"],
        "fps": ["1", "24", "23.976", "30000/1001", "240", "12.5"], "start": MOMENTS, "end": MOMENTS, "face": FACES,
        "crf": ["0", "51", "18"], "feather": ["0", "1", "0.5"], "detail": ["0", "1"], "style_strength": ["0", "1", "2"],
        "max_gap": ["0", "1", "99"], "pads": ["0 0 0 0", "0 10 0 0", "-5 5 -5 5", "900 900 900 900"],
        "box": ["0 100 0 100", "-1 -1 -1 -1", "90 10 90 10", "0 9999 0 9999"], "codec": ["h264", "ffv1", "prores"],
        "extend": ["pingpong", "loop", "hold"], "length": ["audio", "video", "shortest"],
        "silence": ["model", "close", "original"], "speech_detector": ["energy", "silero"],
        "mask": ["jaw", "half"], "on_no_face": ["keep", "error"],
        "save_orig": ["true", "false"], "patch": ["true"], "compare": ["true"], "debug_mask": ["true"],
    },
    "segments": {
        "start": MOMENTS, "end": ["0.04", "0.1", "0.3", "0.32", "", "500"], "face": FACES,
        "sound": ["words.wav", "./words.wav", "person.mp4", "", "model/../words.wav", "missing.wav", "lips.npz"],
    },
}  # fmt: skip
"""Per column what is well spelled, but seldom asked for."""


def bytes_of(data: bytes, random: random.Random, most: int = 6) -> bytes:
    """Flips, cuts, repeats and overwrites some of them, seldom in the first few."""
    out = bytearray(data)
    for _ in range(random.randint(1, most)):
        if not out:
            break
        place = random.randrange(min(64, len(out) - 1) if random.random() < 0.9 else 0, len(out))
        kind = random.randrange(6)
        if kind == 0:
            out[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            out[place : place + random.randrange(1, 9)] = random.randbytes(random.randrange(1, 9))
        elif kind == 2:
            out[place : place + 4] = random.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
        elif kind == 3 and random.random() < 0.3:
            del out[place:]
        elif kind == 4:
            del out[place : place + random.randrange(1, 200)]
        else:
            out[place:place] = out[max(0, place - random.randrange(1, 200)) : place]
    return bytes(out)


def table(kind: str, rows: list[dict[str, object]], random: random.Random) -> tuple[str, bytes]:
    """Rows with a few cells exchanged, as CSV or JSON lines, sometimes with bytes changed besides.

    kind: "list" or "segments".  Three of four new cells are well spelled, so that most lists are begun.
    """
    rows, odd = [dict(row) for row in rows], ODD[kind]
    for _ in range(random.randint(1, 4 if kind == "list" else 2)):
        name = random.choice([*odd])
        random.choice(rows)[name] = random.choice(odd[name] if random.random() < 0.75 else JUNK)
    if random.random() < 0.5:
        text, name = "\n".join(json.dumps(row) for row in rows), "l.jsonl"
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
        separator = random.choice(",,,,;\t")
        text, name = "\n".join(separator.join(line) for line in lines), "l.csv"
    data = text.encode(random.choice(["utf-8", "utf-8", "utf-16"]), "surrogatepass")
    return name, bytes_of(data, random, 2) if random.random() < 0.1 else data


def state(path: Path, random: random.Random) -> None:
    """A training's state in which something is another thing, or missing."""
    import torch

    whole = torch.load(path, weights_only=True)
    node = whole
    while True:
        key = random.choice(list(node))
        if not isinstance(node[key], dict) or not node[key]:
            break
        node = node[key]
    if random.random() < 0.3:
        del node[key]
    else:
        node[key] = random.choice([0, -1, 10**30, 0.5, float("nan"), "x", None, [], {}, torch.zeros(0), torch.ones(3)])
    torch.save(whole, path)


def config(good: Path, path: Path, random: random.Random) -> None:
    """A checkpoint whose config says something else somewhere, or with bytes changed."""
    if random.random() < 0.3:
        path.write_bytes(bytes_of(good.read_bytes(), random))
        return
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(good, framework="pt") as file:
        metadata, weights = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = json.loads(metadata["config"])
    node = settings
    while True:
        key = random.choice(list(node))
        if not isinstance(node[key], dict):
            break
        node = node[key]
    node[key] = random.choice([0, -1, 1, 3, 10**9, 10**30, 0.5, float("nan"), [], [1, -2], "x", None, True, {}, 64])
    if random.random() < 0.2:
        weights.pop(random.choice(list(weights)))
    metadata["config"] = json.dumps(settings)
    save_file(weights, path, metadata)
