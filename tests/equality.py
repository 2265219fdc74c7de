"""A fixed set of runs with tiny models, and digests of what came out: a redesign that changes no result changes none.

    python tests/equality.py record     writes tests/data/equality.json anew
    python tests/equality.py            makes all runs and compares; exit code 1 and the names of those that differ

All systems, one process and three, a list, segments, a style, every flag of the mouth, face and time groups.  A
digest is that of the decoded frames and of the sound.  Digests of one kind of processor need not be those of another:
record on the commit before the change, then compare.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
sys.path[:0] = [str(ROOT), str(TESTS / "lipsync")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from conftest import TINY  # noqa: E402

from audio import read_sound  # noqa: E402
from guided_diffusion.engine.checkpoint import save_checkpoint  # noqa: E402
from lipsync.cli.main import generate  # noqa: E402
from systems import registry  # noqa: E402
from systems.diff2lip import Diff2LipConfig  # noqa: E402
from systems.syncdiff import SyncDiffConfig  # noqa: E402
from tests.helpers.talking_head import picture, talking, tone  # noqa: E402
from tests.helpers.tiny_style import save  # noqa: E402
from tests.helpers.tiny_syncdiff import MEL, PAPER  # noqa: E402
from video import read_frames, write_picture, write_video  # noqa: E402

DIGESTS = TESTS / "data" / "equality.json"
USUAL = "--video person.mp4 --audio words.wav --face_detector haar"
"""What every run of one video is given unless it says otherwise; then the run's own flags."""

RUNS = {
    "diff2lip": "",
    "diff2lip best": "--quality best",
    "diff2lip ddim": "--sampler ddim --steps 3 --seed 7",
    "syncdiff": "--model_path syncdiff.safetensors",
    "syncdiff mel": "--model_path syncdiff-mel.safetensors",
    "style": "--model_path style",
    "style of another": "--model_path style --style_video other.mp4 --style_strength 0.5",
    "style, not registered": "--model_path style --no_registration",
    "style, motion given": "--model_path style --motion_in lips.npz",
    "length video": "--length video",
    "length shortest": "--length shortest",
    "extend loop": "--extend loop --audio long.wav",
    "extend hold": "--extend hold --audio long.wav",
    "start end": "--start 0.2 --end 0.6 --length video",
    "fps": "--fps 30000/1001",
    "face center": "--face center",
    "face point": "--face point:110,60@0.1",
    "pads": "--pads 0 10 0 0",
    "box": "--box 27 87 89 137",
    "voxceleb2": "--video crop.mp4 --is_voxceleb2",
    "faceless": "--video gap.mp4 --on_no_face keep --max_gap 0.1 --length video",
    "pose keep": "--strict_pose keep",
    "pose force": "--strict_pose force",
    "silence close": "--silence close --audio pause.wav",
    "silence original": "--silence original --audio pause.wav",
    "mask half": "--mask half",
    "detail off": "--detail 0",
    "feather": "--feather 0.1",
    "reference gt": "--sampling_ref_type gt",
    "reference first": "--sampling_ref_type first_frame",
    "reference random": "--sampling_ref_type random",
    "still": "--sampling_input_type first_frame",
    "picture": "--video person.png",
    "mux": "--mux_audio long.wav",
    "segments": "--segments who.csv",
    "compare": "--compare",
    "debug mask": "--debug_mask",
    "patch": "--patch",
    "bf16": "--precision bf16",
}
LISTS = {
    "list": "--filelist list.csv",
    "list, syncdiff": "--filelist list.csv --model_path syncdiff.safetensors",
    "list, style": "--filelist list.csv --model_path style",
}


def digest(path: Path) -> str:
    """Of the decoded frames and the sound."""
    found = hashlib.sha256()
    for frame in read_frames(path):
        found.update(np.ascontiguousarray(frame).tobytes())
    if path.suffix != ".png":
        found.update((read_sound(path).samples * 32768).round().astype("<i4").tobytes())
    return found.hexdigest()[:16]


def make_inputs() -> None:
    """Into the current folder."""
    tone(Path("words.wav"), 0.6)
    tone(Path("long.wav"), 1.0, 180.0)
    samples = tone(Path("pause.wav"), 0.9).read_bytes()
    Path("pause.wav").write_bytes(samples[:44] + samples[44:10044] + bytes(9600) + samples[19644:])
    write_video(Path("person.mp4"), talking(18), Fraction(25), sound=Path("long.wav"))
    mirrored = (np.ascontiguousarray(frame[:, ::-1]) for frame in talking(14))
    write_video(Path("other.mp4"), mirrored, Fraction(30), sound=Path("words.wav"))
    write_video(Path("gap.mp4"), talking(18, faceless=range(6, 11)), Fraction(25))
    crop = (np.ascontiguousarray(frame[10:122, 57:169]).repeat(2, 0).repeat(2, 1) for frame in talking(12))
    write_video(Path("crop.mp4"), crop, Fraction(25))
    write_picture(Path("person.png"), picture())
    motion = np.sin(np.arange(15 * 4).reshape(15, 4) / 5).astype(np.float32)
    np.savez("lips.npz", motion=motion, opening=np.zeros(15), fps=25)
    Path("who.csv").write_text("start,end,face\n0,0.3,largest\n0.3,0.6,center\n")
    rows = ["video,audio,output,length", "person.mp4,words.wav,a.mkv,audio", "other.mp4,words.wav,b.mkv,video",
            "gap.mp4,long.wav,c.mkv,video", "person.mp4,pause.wav,d.mkv,shortest"]  # fmt: skip
    Path("list.csv").write_text("\n".join(rows) + "\n")


def make_models() -> None:
    """Random everywhere, so that a mouth depends on all it is given."""
    models: tuple[tuple[str, Diff2LipConfig | SyncDiffConfig], ...] = (
        ("diff2lip", TINY), ("syncdiff", PAPER), ("syncdiff-mel", MEL),
    )  # fmt: skip
    for name, tiny in models:
        config = replace(tiny, unet=replace(tiny.unet, patch=1))  # as when the digests were recorded
        torch.manual_seed(0)
        kind = name.partition("-")[0]
        model = registry.build(kind, config)
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
        save_checkpoint(Path(f"{name}.safetensors"), registry.describe(kind, model, 1, model.state_dict()))
    Path("style").mkdir()
    save(Path("style"))


def with_model(flags: str) -> list[str]:
    given = flags.split()
    given += [] if "--model_path" in given else ["--model_path", "diff2lip.safetensors"]
    given += [] if "--precision" in given else ["--precision", "fp32"]
    return [*given, "--device", "cpu", "--threads", "1", "--no_cache", "--codec", "ffv1"]


def run_one(name: str, flags: str) -> dict[str, str]:
    output = Path("out") / f"{name.replace(' ', '_')}.mkv"
    if generate([*USUAL.split(), *with_model(flags), "-o", str(output)]) != 0:
        raise SystemExit(f"{name}: generate.py failed")
    return {name: digest(output)}


def run_list(name: str, flags: str, launcher: Sequence[str] = ()) -> dict[str, str]:
    """By this process, or by those that a launcher starts."""
    folder = Path("out") / name.replace(" ", "_").replace(",", "")
    given = [*with_model(flags), "--face_detector", "haar", "--sample_path", str(folder)]
    if launcher:
        subprocess.run([*launcher, str(ROOT / "generate_dist.py"), *given], check=True)
    elif generate(given) != 0:
        raise SystemExit(f"{name}: generate.py failed")
    return {f"{name}: {path.name}": digest(path) for path in sorted(folder.glob("*.mkv"))}


def all_runs() -> dict[str, str]:
    """Name -> digest."""
    three = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=3"]
    found: dict[str, str] = {}
    works: list[tuple[str, Callable[[], dict[str, str]]]] = [
        *((name, lambda n=name, f=flags: run_one(n, f)) for name, flags in RUNS.items()),
        *((name, lambda n=name, f=flags: run_list(n, f)) for name, flags in LISTS.items()),
        ("list by three", lambda: run_list("list by three", LISTS["list"], three)),
    ]
    for name, work in works:
        found |= work()
        print(f"{len(found):3d} {name}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            make_inputs()
            make_models()
            with redirect_stdout(io.StringIO()):
                found = all_runs()
        finally:
            os.chdir(before)
    if sys.argv[1:] == ["record"]:
        DIGESTS.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} digests in {DIGESTS}")
        return 0
    known = json.loads(DIGESTS.read_text())
    apart = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))
    print("\n".join(apart) if apart else f"all {len(found)} results are as they were")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
