"""The flags of python -m evaluation: a function a subcommand, whose docstring is what its --help says first."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from core.flags import Parser
from core.guard import reads, writes, writes_into
from core.paths import CHECKPOINTS

DATA = "any data that train.py reads with the splits seen or test; a pack, where the model's faces are aligned"


def parser(name: str) -> Parser:
    """All flags of a subcommand."""
    add = COMMANDS[name]
    about = inspect.cleandoc(add.__doc__ or "")
    if name == RESULTS:
        about += "\n\nSubcommands, each with a --help of its own:\n\n"
        about += "\n".join(f"  {other:12} {_first_line(COMMANDS[other])}" for other in COMMANDS if other != RESULTS)
    p = Parser(
        prog="python -m evaluation" if name == RESULTS else f"python -m evaluation {name}", description=about,
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add(p)
    return p


def _first_line(add: Callable[[Parser], None]) -> str:
    return inspect.cleandoc(add.__doc__ or "").partition("\n")[0]


def results(p: Parser) -> None:
    """Every figure of the papers for a folder of results, with the real video beside it.

        python -m evaluation --real videos --fake results --output report
        python -m evaluation --real list.txt --root VoxCeleb2 --fake results --output report --protocol diff2lip-cross
    """
    p.add_argument("--real", type=reads, required=True, metavar="DIR|LIST",
                   help="folder of the real videos, or a list with lines of sound and video")
    p.add_argument("--root", type=reads, metavar="DIR", help="with a list: the folder that its names are below of")
    p.add_argument("--fake", type=reads, required=True, metavar="DIR",
                   help="folder of the results, called as the real videos; for a list SOUND_VIDEO, dots for slashes")
    _output_folder(p, "where report.json, .csv, .md and .html go")
    p.add_argument("--protocol", default="reconstruction", metavar="NAME",
                   help="what is compared: reconstruction, cross (faces are detected); diff2lip-reconstruction,"
                   " diff2lip-cross (VoxCeleb2); lrw-reconstruction, lrw-cross; wav2lip-cross (%(default)s)")
    p.add_argument("--expert", type=reads, metavar="FILE", help="a sync expert, of train.py or Wav2Lip's, to judge too")
    _tools(p)
    _device(p)  # fmt: skip


def checkpoint(p: Parser) -> None:
    """One checkpoint's figures of lips, on people and videos that it was not trained on.

        python -m evaluation checkpoint --model_path FILE --list clips.csv --full videos --speech sounds --output report

    LIST is a CSV with the columns file, split (test, seen) and speaker, of face crops framed like VoxCeleb2's.  All
    results are made by generate.py's own pipeline; flags unknown here are passed on to it.  The same command goes on
    where it stopped.  In OUTPUT: table.md, results/, scores/, and sheets/ of source, result and both mouths enlarged.
    """
    _model(p)
    p.add_argument("--list", type=reads, metavar="CSV", help="face crops of the splits test and seen")
    p.add_argument("--full", type=reads, metavar="DIR", help="whole videos")
    p.add_argument("--speech", type=reads, metavar="DIR", help="recordings for the videos of the split test to say")
    _output_folder(p, "where the table and all else goes")
    p.add_argument("--clips", type=int, nargs="+", default=[0], metavar="N",
                   help="at most so many clips: one number for test, seen and full each, or up to three; 0 is all")
    p.add_argument("--frames", type=int, default=750, metavar="N",
                   help="edited and measured of each, at 25 a second (%(default)s)")
    p.add_argument("--speeches", type=int, default=3, metavar="N", help="recordings for each video (%(default)s)")
    _tools(p)  # fmt: skip


def reconstruct(p: Parser) -> None:
    """Mouths of held-out clips, made with their own sound and with another's, against the real ones.

        python -m evaluation reconstruct --data DATA [--model_path CHECKPOINT] [--frames 6] [--output figures.json]

    The mouth half is masked.  For each clip, `frames` frames spread over it are made with the clip's own sound and with
    that of another clip of the same split and class; `reference` is the mouth of the frame that is shown, pasted: the
    middle frame of the clip's other half.  For models that are told no lip motion.
    PSNR (dB), SSIM and L1 (of 0..255) of the mouth half.  Intervals: 95 % bootstrap over speakers, means per speaker
    first; over clips where a group has fewer than 3 speakers (marked *).
    """
    _data(p, DATA)
    _model(p, CHECKPOINTS / "diff2lip-small.safetensors")
    _count(p, "--frames", 6, "frames of each clip")
    _device(p, precision=True)
    p.add_argument("--output", type=writes, metavar="JSON", help="the figures of every clip")


def render(p: Parser) -> None:
    """How well stage 2 of a style model renders: real lip motion in, what comes out against the real faces.

        python -m evaluation render --data DATA --model_path FOLDER [--frames 3] [--clips 60]

    For each held-out clip, `frames` frames spread over it are made with the lip motion that is read from the real
    faces, and with that of another clip of the split.  Figures: PSNR and SSIM of the mouth half, as of `reconstruct`;
    how far the motion that is read from the result is from the one that was put in, the mean over landmarks in per cent
    of the distance between the eyes; the correlation of the openings over all frames of a split.  For comparison: the
    real face (in latents, through the autoencoder alone), which no rendering can beat, and a reference frame pasted.
    The reader that reads here is the one that training listened to; with --landmarker and --mediapipe_python MediaPipe,
    which it did not, reads the results too.
    Then what a frame costs, both stages and Diff2Lip's small network, medians of interleaved runs.
    Intervals: 95 % bootstrap over speakers, means per speaker first.
    """
    _data(p, DATA)
    _model(p)
    _count(p, "--frames", 3, "frames of each clip")
    _count(p, "--clips", 60, "clips of each split, spread over all")
    _landmarker(p)
    _device(p, precision=True)


def style(p: Parser) -> None:
    """Whether a style reference helps: lip motion predicted with one's own, another speaker's and no reference.

        python -m evaluation style --data DATA --model_path FILE|FOLDER [--output figures.json] [--picture a.png]

    DATA has landmarks from scripts/fit_motion.py, or is a pack: they are the truth, while references are read by the
    model's reader, as in generation.  seen: clips of the split `seen`; the reference is of the same speakers' clips in
    `train`.  unseen: clips of `test`; the reference is the speaker's other clips end to end, or the first half of an
    only clip, whose second half is then predicted.  References have at most --reference frames, a speaker at most
    --clips clips.
    Figures are means per speaker, then over speakers, with 95 % bootstrap intervals over speakers:
        position  distance of the points from the real ones, per cent of the distance between the eyes
        movement  the same, each clip's mean taken out of both
        opening r correlation of predicted and real opening of the mouth within a clip
    """
    _data(p, "prepared folder with landmarks, or a pack")
    _model(p)
    _count(p, "--reference", 250, "frames of a style reference, at most")
    _count(p, "--clips", 6, "of a speaker, at most")
    p.add_argument("--output", type=writes, metavar="JSON", help="all figures")
    p.add_argument("--picture", type=writes, metavar="PNG", help="the attention of one clip")


def lips(p: Parser) -> None:
    """How well stage 1 moves lips by sound: its openings against those that landmarks show.

        python -m evaluation lips --data PACK --model_path FOLDER_OR_FILE [--most 250] [--output FIGURES.json]

    For each clip of `seen` and `test`, at 25 frames a second.  The manner is the speaker's own, as in generation: up to
    --most frames of the speaker's other clips, spread over all splits, their motion read from their faces; where there
    are no others, the first half of the clip, and the second is measured.  The mean of that reference is the mouth's
    rest.
        r         Pearson's, of the predicted opening and the real one within a clip
        wrong     the same with the sound of a clip of the next speaker
        r near, wrong near  the highest of it with one of the two shifted by up to 3 frames: for clips whose sound is
                  not quite in time; a wrong sound says what chance is
        range     the deviation within clips, predicted / real
        flicker   the mean absolute change of the opening from frame to frame, predicted / real
        closed    opening where the real lips are closed, predicted and real, as a share of the real mean opening
        silent    the same where nobody speaks (audio/activity.py)
    Means over a speaker's clips, then over speakers, with a 95 % bootstrap interval over speakers.
    """
    _data(p, "a pack, or a prepared folder with landmarks")
    _model(p)
    _count(p, "--most", 250, "frames of a reference")
    p.add_argument("--output", type=writes, metavar="JSON", help="the figures of every speaker")


def sync(p: Parser) -> None:
    """What a sync expert is worth on held-out clips, and what it thinks of a checkpoint.

        python -m evaluation sync --data DATA [--expert EXPERT] [--model_path CHECKPOINT ...] [--clips N]
                                  [--sampler dpm++] [--steps 4 8 16]

    accuracy  among 8 moments of a clip: how often a moment's own sound is nearer than one other (chance 50 %), and the
              nearest of all (chance 12.5 %).  The loss is that of training, ln 8 = 2.079 is chance
    shifts    the sound is moved by -5..5 frames and the expert asked by how many: how often it is right, and within 1.
              The clips' own offset, as the expert finds it, is counted in
    scores    cosines of 5 frames in the middle of each clip with their sound: the real face, the checkpoint's with the
              own sound, and with the sound of another clip.  95 % bootstrap intervals over speakers.  Beside them PSNR
              of the mouth half with the own sound, dB, and seconds a frame.  A row for each checkpoint, split and
              --steps.  A style model (its folder) is told the lip motion that its stage 1 predicts of the sound, in the
              manner of another clip of the speaker; the seconds are those of stage 2
    """
    _data(p, DATA)
    p.add_argument("--expert", type=reads, default=CHECKPOINTS / "sync.safetensors", metavar="FILE",
                   help="of train.py, or Wav2Lip's (the one that ships)")  # fmt: skip
    p.add_argument("--model_path", type=reads, nargs="+", metavar="FILE", help="checkpoints to judge")
    p.add_argument("--sampler", metavar="NAME", help="how these are sampled; else as they say themselves")
    p.add_argument("--steps", nargs="+", metavar="N", help="in how many steps; several to compare")
    p.add_argument("--clips", type=_number, metavar="N", help="of each split, for shifts (40) and scores (all)")
    _device(p)


def drift(p: Parser) -> None:
    """Whether what is made frame after frame drifts, against the same frames made alone.

        python -m evaluation drift --data DATA --model_path CHECKPOINT [--frames 320] [--clips 2]

    The longest clips of all splits, played back and forth to `frames` frames (generate.py begins a chain anew after
    320), are given their own sound back.  PSNR of the mouth half, dB, in bins: `chained` as generate.py makes them,
    `alone` each frame as the first of a chain; and the mean brightness of the chained mouth half less the real one's,
    of 255.
    """
    _data(p, "any data that train.py reads")
    _model(p)
    _count(p, "--frames", 320, "of each clip")
    _count(p, "--clips", 2, "that are played")
    _device(p)


def opening(p: Parser) -> None:
    """Whether the mouth opens when the real one does, frame by frame, by MediaPipe's landmarks.

        python -m evaluation opening --data DATA --landmarker face_landmarker.task --mediapipe_python PYTHON
                                     [--model_path FILE] [--clips 12] [--spacing 1]

    Every frame of held-out clips is made with the own sound and with another clip's (--spacing 1: the one-step
    prediction from pure noise).  Opening: distance of the inner lips over the mouth's width; the table has its
    correlation with the real one, the mean over clips.  A style model (its folder) is told the lip motion that its
    stage 1 predicts of the sound, in the manner of another clip of the speaker.
    """
    _data(p, DATA)
    _model(p, CHECKPOINTS / "style-medium")
    _count(p, "--clips", 12, "of each group")
    p.add_argument("--spacing", metavar="N", help="steps of DPM-Solver++ instead of the checkpoint's sampling")
    _landmarker(p, required=True)
    _device(p)


def clips(p: Parser) -> None:
    """What generate.py makes of every video in a folder: a row each, in which what is odd stands out.

        python -m evaluation clips VIDEOS --sample_path RESULTS [--audio WORDS] [flags of generate.py]

    Every video says WORDS, else its own sound, from its first frame to its last (--length video), without the cache of
    detections, so that all stages are timed.  A result that is there already is not made again.

    in, out, edited   frames of the video, of the result, and of those that speak
    no face in        frames, from..to, both included
    cuts              between shots
    sound late        by how much the result's sound is behind the words at the end (4 s); ? if it is another one there
    """
    p.add_argument("videos", type=reads, metavar="VIDEOS", help="a folder")
    p.add_argument("--sample_path", type=writes_into, required=True, metavar="RESULTS", help="where the results go")
    p.add_argument("--audio", type=reads, metavar="WORDS", help="what they say (each its own sound)")


def sheet(p: Parser) -> None:
    """A contact sheet: evenly spaced frames of a video before and after, and below what differs, enlarged.

        python -m evaluation sheet BEFORE AFTER OUTPUT.png [--frames 6] [--height 256] [--close]
        python -m evaluation sheet BEFORE AFTER OUTPUT.gif    what differs alone, moving, before and after side by side

    The moments are AFTER's.  Above each frame stands what BEFORE shows then: a still picture always the same, a video
    that is shorter played back and forth, as generate.py extends it.
    """
    p.add_argument("before", type=reads, metavar="BEFORE", help="video or still picture")
    p.add_argument("after", type=reads, metavar="AFTER", help="the video made of it")
    p.add_argument("output", type=writes, metavar="OUTPUT", help="the contact sheet: .png, .jpg or .webp; or .gif")
    _count(p, "--frames", 6, "how many moments")
    _count(p, "--height", 256, "of each frame, in pixels")
    p.add_argument("--close", action="store_true", help="what differs alone, enlarged")


def _data(p: Parser, what: str) -> None:
    p.add_argument("--data", type=reads, required=True, metavar="DIR", help=what)


def _model(p: Parser, default: Path | None = None) -> None:
    p.add_argument("--model_path", type=reads, required=default is None, default=default, metavar="FILE",
                   help="a checkpoint, or a style model's folder" + (f" ({default.stem})" if default else ""),
                   )  # fmt: skip


def _number(text: str) -> int:
    """From 1 on."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _count(p: Parser, flag: str, default: int, what: str) -> None:
    p.add_argument(flag, type=_number, default=default, metavar="N", help=f"{what} (%(default)s)")


def _device(p: Parser, precision: bool = False) -> None:
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (%(default)s)")
    if precision:
        p.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (%(default)s)")


def _output_folder(p: Parser, what: str) -> None:
    p.add_argument("-o", "--output", type=writes_into, required=True, metavar="DIR", help=what)


def _landmarker(p: Parser, required: bool = False) -> None:
    p.add_argument("--landmarker", type=reads, required=required, metavar="FILE", help="MediaPipe's .task file")
    _mediapipe(p)


def _mediapipe(p: Parser) -> None:
    p.add_argument("--mediapipe_python", type=reads, default=Path(sys.executable), metavar="FILE",
                   help="the python of an environment that has mediapipe, which does not live beside our OpenCV",
                   )  # fmt: skip


def _tools(p: Parser) -> None:
    p.add_argument("--weights", type=reads, nargs="+", default=[], metavar="DIR",
                   help="more folders with published weights, beside checkpoints/ and torch's cache")
    _mediapipe(p)
    p.add_argument("--face_detector", default="auto", metavar="NAME", help="as for generate.py (%(default)s)")


COMMANDS: dict[str, Callable[[Parser], None]] = {
    add.__name__: add
    for add in (results, checkpoint, reconstruct, render, style, lips, sync, drift, opening, clips, sheet)
}
RESULTS = results.__name__
PASSING_ON = (checkpoint.__name__, clips.__name__)
"""Whose other flags are generate.py's."""
