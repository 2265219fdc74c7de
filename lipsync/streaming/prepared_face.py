"""A face made ready for a stream: some seconds of its video, cut and with references, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from audio import open_sound, read_filterbanks
from core.arrays import Picture
from core.errors import BadValue, Mismatch, NotFound
from core.progress import say
from dataset import AudioFeatures
from face_detection import Box, MouthDetail, cut
from lipsync.jobs.job import Job
from lipsync.models import Models
from lipsync.planning.references import References, choose_references
from lipsync.planning.timeline import Plan
from lipsync.rendering.mouth_exemplars import MouthExemplars
from lipsync.rendering.registration import Correction
from lipsync.rendering.retouching import Retoucher
from lipsync.settings import Settings
from systems.stage1 import LiveMotion
from video import VideoInfo, probe, read_frames

MEMORY = 2**29  # bytes of frames that are held
MEANINGLESS = ("length", "start", "end", "silence", "patch")
"""Settings of a whole sound, or of a file."""


@dataclass(frozen=True)
class HeldFrame:
    """A frame of the video u8 [h, w, 3]; where its face was cut, u8 [s, s, 3], how much of a new one is seen, and whose
    mouths that may take detail from, and what brings it to its place."""

    picture: Picture
    box: Box | None
    crop: Picture | None
    strength: float
    mouths: MouthDetail | None = None
    correction: Correction | None = None


@dataclass(frozen=True)
class PreparedFace:
    """All that a stream must know of a face; several streams may use one.

    plan    which of the frames frame k of a stream shows, at which rate; it has no end
    shots   the frames in which shots begin
    motion  makes what predicts lip motion, for a system that is told; else None
    retoucher  what retouches new faces, if anything does
    """

    info: VideoInfo
    plan: Plan
    frames: tuple[HeldFrame, ...]
    shots: tuple[int, ...]
    references: References
    motion: Callable[[], LiveMotion] | None
    retoucher: Retoucher | None


def prepare_face(
    models: Models,
    settings: Settings,
    face: Path,
    *,
    seconds: float = 10.0,
    style: Path | None = None,
    lookahead: float | None = None,
) -> PreparedFace:
    """Reads, searches and cuts at most so many seconds of a video, or a picture; less where 512 MiB hold no more.

    style: a video of the manner of speaking, for a system that imitates one; None: the face's own
    lookahead: seconds of sound, for a system that is told lip motion; None: what that thinks good
    BadInput for what cannot be read or means nothing in a stream, NoFace if there is none.
    """
    check_settings(settings)
    models.retoucher(settings)  # what cannot be is refused now
    for what, path in (("face", face), ("style_video", style)):
        if path is not None and not path.exists():
            raise NotFound(f"{what} {path}: no such file; check the path")
    info, synthesizer = probe(face), models.synthesizer
    held = 1 if settings.first_frame else _held(info, seconds)
    selector = models.face_selector(info, settings)
    track = selector.track(settings.face, 0, held).only(0, held)
    opacity = selector.opacity(track, 0, held)
    references = choose_references(
        face, track, synthesizer.size, settings.reference, settings.seed, count=synthesizer.needs.references,
        openings=models.openings if synthesizer.needs.ordered else None, hidden=models.hidden(settings),
    )  # fmt: skip
    frames = []
    for number, picture in enumerate(islice(read_frames(face), held)):
        box, strength = track.box(number), 1.0 if opacity is None else float(opacity[number])
        crop = cut(picture, box, synthesizer.size) if box is not None and strength > 0 else None
        frames.append(HeldFrame(picture, box, crop, strength))

    def pick(numbers: list[int]) -> list[Picture]:
        return [frames[k].picture for k in numbers]

    shown = [k for k, frame in enumerate(frames) if frame.crop is not None]
    if settings.detail:
        exemplars = MouthExemplars(pick, synthesizer.size)
        for k in shown:
            frames[k] = replace(frames[k], mouths=exemplars.of(track, k))

    def hear() -> AudioFeatures:
        banks = read_filterbanks(face) if synthesizer.needs.filterbanks else None
        return AudioFeatures(open_sound(face).mel, banks)

    if (registration := models.registration(settings, info, pick, hear)) is not None:
        for k in shown:
            frames[k] = replace(frames[k], correction=registration.of(track, references, k))
    if not shown:
        say(f"{face}: shows no face on which a mouth can be made well; its frames pass as they are")
    fps = settings.fps or info.fps
    plan = Plan(len(frames), 1, settings.extend, fps, info.fps / fps)
    motion = None
    source = models.lip_motion(settings, Job(face, None, face, style=style), info)
    if source is not None:
        motion = source.live(track, lookahead)
    elif style is not None or settings.style_strength != 1:
        raise Mismatch(
            f"{synthesizer.checkpoint} knows no style; leave style_video and style_strength out, or load a style model"
        )
    return PreparedFace(info, plan, tuple(frames), track.shots, references, motion, models.retoucher(settings))


def check_settings(settings: Settings) -> None:
    """BadInput for a setting that means nothing in a stream."""
    usual = Settings()
    if settings.voice_separator is not None:
        raise BadValue("voice_separator: hears a sound as a whole, and a stream as it comes; leave that out")
    if wrong := [name for name in MEANINGLESS if getattr(settings, name) != getattr(usual, name)]:
        raise BadValue(f"{', '.join(wrong)}: a stream has no end, and makes no file; leave that out")


def _held(info: VideoInfo, seconds: float) -> int:
    """How many frames are held."""
    if not 0 < seconds < 1e6:
        raise BadValue(f"seconds {seconds:g}: give how many seconds of the video are shown forth and back, above 0")
    wanted = max(1, min(info.frames, round(seconds * info.fps)))
    fitting = max(1, MEMORY // (3 * info.height * info.width))
    if fitting < wanted:
        say(f"{info.path}: {float(fitting / info.fps):.1f} s of it are shown forth and back, which take"
            f" {MEMORY >> 20} MiB; a smaller picture gives more")  # fmt: skip
    return min(wanted, fitting)
