"""The flags of generate.py, in groups.  Dashes and underscores are the same; a switch is --x, --no-x or --x True."""

import argparse
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from core.flags import Parser as CommonParser
from core.flags import add_config
from core.guard import reads, writes, writes_into
from lipsync.settings import QUALITIES, Settings, Sides, moment

from .answers import ELSEWHERE, Help, version
from .legacy_flags import add_originals, as_original

DESCRIPTION = """Make a face speak new words.

    python generate.py person.mp4 words.wav result.mp4
    python generate.py --filelist list.txt --test_video_dir videos --sample_path results"""


MOST = 1024  # threads


class Parser(CommonParser):
    """That of all programs, which understands what was written for the original."""

    def expanded(self, args: Sequence[str]) -> list[str]:
        """As of all programs; what the original does without being told comes first, if this is its command line."""
        words = super().expanded(args)
        return [*as_original(words), *words]

    def parse(self, args: Sequence[str]) -> argparse.Namespace:
        """As parse_args, with paths without a flag wherever they stand."""
        return self.parse_intermixed_args(args)


class Switch(argparse.Action):
    """--flag, --no_flag, or --flag True, as scripts for the original write."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        both = [*option_strings, *(f"--no_{name[2:]}" for name in option_strings if name.startswith("--"))]
        super().__init__(both, dest, nargs="?", metavar="BOOL", **kwargs)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        try:
            value = values is None or truth(values)
        except argparse.ArgumentTypeError as problem:
            raise argparse.ArgumentError(self, str(problem)) from problem
        setattr(namespace, self.dest, value != (option or "").startswith("--no_"))


def parser() -> Parser:
    """All flags of generate.py."""
    p = Parser(DESCRIPTION, names=ELSEWHERE, add_help=False)
    p._negative_number_matcher = re.compile(r"-[\d.][\d.,]*")  # the sides of a box, too, are no flag
    p.add_argument("-h", "--help", action=Help, help="the flags that matter; --help all for all of them")
    p.add_argument("--version", action="version", version=version(), help="say which version this is")
    add_flags(p)
    return p


def add_flags(p: argparse.ArgumentParser) -> None:
    """Adds them, in groups."""
    d = Settings()
    _add_paths(p.add_argument_group("paths"))
    _add_lists(p.add_argument_group("lists of videos"))
    _add_looking(p.add_argument_group("look before you leap"))
    _add_time(p.add_argument_group("time"), d)
    _add_face(p.add_argument_group("face"), d)
    _add_mouth(p.add_argument_group("mouth"), d)
    _add_style(p.add_argument_group("style (for models that have one)"), d)
    _add_model(p.add_argument_group("model"), d)
    _add_output(p.add_argument_group("output"), d)
    _add_execution(p.add_argument_group("execution"), d)
    add_originals(p)


def settings(options: argparse.Namespace) -> Settings:
    """The settings that the flags say."""
    values = vars(options)
    changes = {name: values[name] for name in Settings.__dataclass_fields__ if name in values}
    changes["cache"] = (options.cache_dir or "default") if options.use_cache else None
    return Settings(**changes, first_frame=options.sampling_input_type == "first_frame")


def truth(text: str) -> bool:
    """True or False, as users and shells spell them."""
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")


def seconds(text: str) -> float:
    """12.5, 1:02.5 or 1:00:00 -> seconds."""
    try:
        return moment(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def count(text: str) -> int:
    """A number from 1 on."""
    if not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST}")
    return int(text)


def rate(text: str) -> Fraction:
    """25, 29.97 or 30000/1001 frames per second; 23.98, 29.97 and 59.94 mean the exact ones."""
    exact = {"23.98": "24000/1001", "23.976": "24000/1001", "29.97": "30000/1001", "59.94": "60000/1001"}
    try:
        return Fraction(exact.get(text, text))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no rate; write 25, 29.97 or 30000/1001") from None


def sides(text: str) -> Sides:
    """Four numbers with commas."""
    top, bottom, left, right = (float(part) for part in text.split(","))
    return top, bottom, left, right


class Sided(argparse.Action):
    """Four numbers: 0,10,0,0 as for the original, or 0 10 0 0 as for Wav2Lip."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        try:
            setattr(namespace, self.dest, sides(",".join(values)))
        except ValueError:
            raise argparse.ArgumentError(self, "give four numbers: top, bottom, left, right") from None


Group = argparse._ArgumentGroup


def _add_paths(g: Group) -> None:
    g.add_argument("named", nargs="*", metavar="FILE", type=reads,
                   help="the same without flags: VIDEO AUDIO [RESULT]")  # fmt: skip
    g.add_argument("-v", "--video", "--video_path", type=reads, metavar="FILE",
                   help="video or still picture of the person")
    g.add_argument("-a", "--audio", "--audio_path", type=reads, metavar="FILE",
                   help="the words: a sound, or a video with sound")
    g.add_argument("-o", "--output", "--out_path", type=writes, metavar="FILE",
                   help="the result: .mp4, .mov or .mkv; .png for --preview and --list_faces")
    g.add_argument("--segments", type=reads, metavar="FILE",
                   help="who speaks when: CSV or JSON lines with start, end, face, sound")
    g.add_argument("--mux_audio", dest="heard", type=reads, metavar="FILE",
                   help="what is heard, if it is not what drives the mouth")
    g.add_argument("--model_path", type=reads, metavar="FILE",
                   help="checkpoint, or folder of one in several parts; it knows which system it is "
                        "(default: the style model that ships)")


def checkpoint(options: argparse.Namespace) -> Path:
    """The model that is to speak: the one that is named, else the one that ships."""
    from systems.registry import DEFAULT_CHECKPOINT

    return options.model_path or DEFAULT_CHECKPOINT


def _add_lists(g: Group) -> None:
    g.add_argument("--filelist", type=reads, metavar="FILE",
                   help="many videos: lines of SOUND VIDEO, or CSV or JSON lines with flags as columns")
    g.add_argument("--test_video_dir", type=reads, metavar="DIR", help="where these lie (the folder of the list)")
    g.add_argument("--sample_path", type=writes_into, metavar="DIR", help="where the results go, and the report")
    g.add_argument("--save_orig", action=Switch, default=False,
                   help="store the video as it was too, as long as the result, as RESULT_orig.mp4")


def _add_looking(g: Group) -> None:
    g.add_argument("--preview", type=seconds, metavar="TIME", help="only a still: before and after, at this moment")
    g.add_argument("--list_faces", action="store_true", help="only a picture of all people, for --face index:N")
    g.add_argument("--dry_run", action="store_true", help="only say what would be done, how long it would take, "
                   "and how much memory")  # fmt: skip


def _add_time(g: Group, d: Settings) -> None:
    g.add_argument("--length", choices=("audio", "video", "shortest"), default=d.length,
                   help="how long the result is (%(default)s)")
    g.add_argument("--extend", choices=("pingpong", "loop", "hold"), default=d.extend,
                   help="how a video that is too short goes on (%(default)s)")
    g.add_argument("--start", type=seconds, default=d.start, metavar="TIME", help="edit from here on (%(default)g)")
    g.add_argument("--end", type=seconds, metavar="TIME", help="edit up to here; the rest passes untouched (the end)")
    g.add_argument("--fps", "--video_fps", type=rate, metavar="RATE", help="of the result (the video's own)")


def _add_face(g: Group, d: Settings) -> None:
    g.add_argument("--face", default=d.face, metavar="WHO",
                   help="largest, center, index:N (see --list_faces) or point:x,y[@seconds] (%(default)s)")
    g.add_argument("--face_detector", dest="detector", default=d.detector,
                   help="auto, haar, yunet, retinaface, blazeface or s3fd (%(default)s)")
    g.add_argument("--face_det_batch_size", dest="detector_batch", type=int, default=d.detector_batch,
                   help="pictures searched at a time (%(default)s)")
    g.add_argument("--pads", nargs="+", action=Sided, default=d.pads, metavar="T,B,L,R",
                   help="cut the face larger by so many pixels: top, bottom, left, right (0,0,0,0)")
    g.add_argument("--box", nargs="+", action=Sided, metavar="T,B,L,R",
                   help="the face is here in every frame: top, bottom, left, right, in pixels; detect nothing")
    g.add_argument("--is_voxceleb2", action=Switch, default=d.fixed_crop, dest="fixed_crop",
                   help="the video is a VoxCeleb2 face crop: use its fixed margins, detect nothing")
    g.add_argument("--on_no_face", choices=("keep", "error"), default=d.on_no_face,
                   help="frames without a face pass through untouched, or are an error (%(default)s)")
    g.add_argument("--max_gap", type=float, default=d.max_gap, metavar="SECONDS",
                   help="how long a face may be lost before that counts (%(default)s)")
    g.add_argument("--strict_pose", choices=("keep", "fade", "force"), default=d.strict_pose,
                   help="where no mouth can be made well (face turned away, mouth hidden): keep the original in just"
                   " those frames, fade to it and back over some, or force a mouth all the same (%(default)s)")
    g.add_argument("--cache_dir", type=writes_into, metavar="DIR", help="where detections are kept (~/.cache/lip-sync)")
    g.add_argument("--no_cache", dest="use_cache", action="store_false", help="keep no detections and use none")


def _add_mouth(g: Group, d: Settings) -> None:
    g.add_argument("--silence", choices=("model", "close", "original"), default=d.silence,
                   help="the mouth while nobody speaks: as the model has it, closed, or as in the video (%(default)s)")
    g.add_argument("--speech_detector", choices=("energy", "silero"), default=d.speech_detector,
                   help="who tells --silence when nobody speaks: the sound's energy, or silero-vad, which tells speech"
                   " from noise as well (requirements-silero.txt) (%(default)s)")
    g.add_argument("--mask", choices=("jaw", "half"), default=d.mask,
                   help="paste mouth and chin, or all of the lower half of the face (%(default)s)")
    g.add_argument("--detail", type=float, default=d.detail, metavar="SHARE",
                   help="of the skin's own detail that stays where only sharpness was lost, of that of lips and teeth"
                   " which comes from other frames with the same mouth, and of the sharpening of what is softer than"
                   " the face around it; 0 to compare with papers")
    g.add_argument("--registration", action=Switch, default=d.registration,
                   help="correct where this person's mouth is drawn, and in which colours, as measured on frames of the"
                   " video; a model that hears needs the sound of the video for it (%(default)s)")
    g.add_argument("--face_restorer", type=reads, metavar="FILE",
                   help="sharpen the new mouth by a network of yours: .onnx of GFPGAN or RestoreFormer")
    g.add_argument("--restorer_strength", type=float, default=d.restorer_strength, metavar="SHARE",
                   help="how much of that is seen, from 0 to 1 (%(default)g)")
    g.add_argument("--face_occluder", type=reads, metavar="FILE",
                   help="keep hands, hair and microphones before the mouth: .onnx of XSeg or BiSeNet, which sees them")
    g.add_argument("--voice_separator", type=reads, metavar="FILE",
                   help="let the voice alone move the lips, without the music; the result keeps all: .onnx such as"
                   " Demucs, waveform in and out")
    g.add_argument("--separator_rate", type=int, metavar="HZ",
                   help="samples per second that it knows (as its metadata say)")
    g.add_argument("--feather", type=float, default=d.feather, metavar="SHARE",
                   help="width of the blend, as a share of the face (%(default).3f)")


def _add_style(g: Group, d: Settings) -> None:
    g.add_argument("--style_video", dest="style", type=reads, metavar="FILE",
                   help="whose manner of speaking: its largest face, with its own sound (--video itself)")
    g.add_argument("--style_strength", type=float, default=d.style_strength, metavar="SHARE",
                   help="how much of it, from 0 to 1 (%(default)g)")
    g.add_argument("--motion_in", type=reads, metavar="FILE", help="what the lips do: a .npz as --motion_out writes it")
    g.add_argument("--motion_out", type=writes, metavar="FILE",
                   help="write what the lips do as .npz, and a picture of it beside")


def _add_model(g: Group, d: Settings) -> None:
    g.add_argument("--quality", choices=QUALITIES, default=d.quality,
                   help="sampler and steps, as the checkpoint says, and how hard H.264 is compressed (%(default)s)")
    g.add_argument("--sampler", choices=("ddim", "ddpm", "dpm++2m", "dpm++2m-c", "dpm++"),
                   help="instead of the quality's: dpm++2m is DPM-Solver++(2M), dpm++2m-c (or dpm++) the same with a"
                   " limit and UniPC's corrector")
    g.add_argument("--steps", "--timestep_respacing", metavar="SPACING",
                   help="such as 8 or ddim25, instead of the quality's")
    g.add_argument("--audio_strength", "--guidance_scale", type=float, metavar="TIMES",
                   help="how strongly the mouth follows the sound, from 0 to 4: 1 as the model learned it, more"
                   " opens wider; a model that hears takes twice as long for it (as the checkpoint says)")
    g.add_argument("--seed", "--sampling_seed", type=int, default=d.seed, help="same seed, same video (%(default)s)")
    g.add_argument("--sampling_ref_type", choices=("other", "gt", "first_frame", "random"), default=d.reference,
                   dest="reference", help="which frame shows the mouth: a sharp one of the shot's other half, "
                   "the frame itself, the first, a random one (%(default)s)")
    g.add_argument("--sampling_input_type", choices=("gt", "first_frame"), default="gt",
                   help="what is edited: the video, or its still first frame (%(default)s)")


def _add_output(g: Group, d: Settings) -> None:
    g.add_argument("--codec", choices=("h264", "ffv1", "prores"), default=d.codec,
                   help="h264 plays everywhere, ffv1 (.mkv) is lossless, prores (.mov) is for editors (%(default)s)")
    g.add_argument("--crf", type=int, default=d.crf, help="H.264 quality, lower is better (%(default)s)")
    g.add_argument("--encoder", choices=("h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox"),
                   help="let a chip of NVIDIA, Intel, AMD or Apple encode: quicker, larger, not the same file from run"
                   " to run (x264, 4 threads)")
    g.add_argument("--compare", action=Switch, default=False, help="show before and after side by side")
    g.add_argument("--debug_mask", action=Switch, default=False, help="show what was pasted, and where the face is")
    g.add_argument("--mark", action=Switch, default=False,
                   help="say in a corner of the picture that it is synthetic; the metadata always say so")
    g.add_argument("--mark_text", default=d.mark_text, metavar="WORDS", help="what the mark says (%(default)s)")
    g.add_argument("--patch", action=Switch, default=False,
                   help="store the mouth alone, on transparency: --codec prores (.mov) or ffv1 (.mkv)")


def _add_execution(g: Group, d: Settings) -> None:
    g.add_argument("--device", default=d.device, help="auto, cpu, cuda, cuda:1 or mps (%(default)s)")
    g.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default=d.precision,
                   help="of the network (%(default)s)")
    g.add_argument("--compile", choices=("none", "graphs", "full"), default=d.compile,
                   help="graphs: replay the network as CUDA graphs, the same frames; full: compile its blocks too,"
                   " which takes up to minutes the first time (%(default)s)")
    g.add_argument("--backend", choices=("torch", "onnx"), default=d.backend,
                   help="what computes the network: onnx is ONNX Runtime, with TensorRT where that is installed"
                   " (requirements-onnx.txt); the first run exports the network (%(default)s)")
    g.add_argument("--threads", type=count, metavar="N",
                   help="of the network on a CPU (all cores; 1 in generate_dist.py)")
    g.add_argument("--keep_temp", action=Switch, default=False, help="keep the chunks that a result is joined of")
    g.add_argument("--profile", type=writes, metavar="FILE",
                   help="write what each thread did when: a .json that ui.perfetto.dev shows")
    g.add_argument("--batch", "--sampling_batch_size", type=int, default=d.batch,
                   help="frames sampled at a time (8 on a CPU, else 32)")
    g.add_argument("--json", action="store_true", help="standard output is lines of JSON: progress, results, errors")
    add_config(g)
