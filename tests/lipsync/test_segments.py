"""Several speakers: lists of who says what when, and results in which each says its own."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from audio import read_sound
from core.errors import BadValue, NoData, NotFound, Unreadable
from lipsync.jobs.job import Job
from lipsync.jobs.runner import dub
from lipsync.pipeline import LipSyncPipeline
from lipsync.planning.audio_mix import RATE, mix
from lipsync.planning.speaker_segments import SpeakerSegment, read_segments
from lipsync.settings import Settings
from tests.helpers.failing import fails
from tests.helpers.prepared import prepared
from tests.helpers.talking_head import picture, tone
from video import probe, read_frames, write_video

LISTS = {
    "csv": "start,end,face,sound\n0,1.5,index:1,a.wav\n\n1, ,,\n",
    "json": '{"start": 0, "end": 1.5, "face": "index:1", "sound": "a.wav"}\n\n{"start": 1}\n',
    "columns": "sound,face,start,end\na.wav,index:1,0,1.5\n,,1,\n",
}


@pytest.fixture
def list_of(tmp_path):
    (tmp_path / "a.wav").touch()

    def write(text: str) -> Path:
        path = tmp_path / "list.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_read(list_of, tmp_path, kind):
    segments = read_segments(list_of(LISTS[kind]), "center", Path("all.wav"))
    assert segments == [SpeakerSegment(0, 1.5, "index:1", tmp_path / "a.wav"), SpeakerSegment(1, None, "center", None)]


def test_times_are_as_on_the_command_line(list_of, tmp_path):
    (segment,) = read_segments(list_of("start,end,face,sound\n0:01,1:02.5,,a.wav\n"), "center", None)
    assert (segment.start, segment.end) == (1, 62.5)


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ("start,end,face,sound\n0,1,bob,a.wav\n", BadValue, "row 2: --face bob"),
        ("start,end,face,sound\n0,x,,a.wav\n", BadValue, "row 2: "),
        ("start,end,face,sound\n2,1,,a.wav\n", BadValue, "row 2: "),
        ("start,end,face,sound\n-1,1,,a.wav\n", BadValue, "row 2: "),
        ("start,end,face,sound\n0,1,,gone.wav\n", NotFound, "gone.wav"),
        ("start,end,face,sound\n0,1,,\n", NoData, "row 2: "),
        ("begin,end\n0,1\n", BadValue, "'begin'"),
        ("start,end,face,sound\n0,1,,a.wav,more\n", Unreadable, "row 2: "),
        ('{"start": 0, "end"\n', Unreadable, "row 1: "),
        ('{"start": 0, "volume": 1}', BadValue, "'volume'"),
        ("", NoData, "list."),
    ],
)
def test_a_row_that_cannot_be_used_is_named(list_of, text, kind, named):
    with fails(kind, named):
        read_segments(list_of(text), "largest", None)


def test_a_list_that_is_no_text(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with fails(Unreadable, "list.csv"):
        read_segments(tmp_path / "list.csv", "largest", None)


def test_a_mix_places_every_sound(tmp_path):
    one, two = tone(tmp_path / "1.wav", 0.5, 300), tone(tmp_path / "2.wav", 3.0, 500)
    blocks = list(mix([SpeakerSegment(0.25, None, "", one), SpeakerSegment(1.0, 2.5, "", two)]).blocks)
    mixed = np.concatenate(blocks)
    loud = np.abs(mixed).reshape(-1, RATE // 20).max(axis=1) > 0.01
    expected = [0.25 <= k / 20 < 0.75 or 1.0 <= k / 20 < 2.5 for k in range(len(loud))]
    assert loud.tolist() == expected and len(mixed) % RATE == 0


@pytest.fixture(scope="module")
def couple(tmp_path_factory) -> Path:
    """The portrait twice, side by side, the right one smaller and of other colours: 20 frames."""
    path = tmp_path_factory.mktemp("couple") / "couple.mp4"
    small = picture()[24:168, 32:224][..., ::-1]
    right = np.full((192, 256, 3), 60, np.uint8)
    right[24:168, 32:224] = small
    write_video(path, (np.concatenate([picture(), right], axis=1) for _ in range(20)), Fraction(25), crf=4)
    return path


@pytest.fixture(scope="module")
def pipeline(checkpoint) -> LipSyncPipeline:
    return LipSyncPipeline(checkpoint, Settings(detector="haar", device="cpu", precision="fp32", batch=8, cache=None))


def changed(frames: list[np.ndarray], before: list[np.ndarray]) -> tuple[list[int], list[int]]:
    """The frames in which the left half and the right half changed."""
    pairs = list(zip(frames, before, strict=True))
    return tuple([k for k, (a, b) in enumerate(pairs) if (a[:, side] != b[:, side]).any()]
                 for side in (slice(0, 256), slice(256, 512)))  # fmt: skip


@pytest.mark.slow
def test_each_says_its_own_and_both_are_heard(pipeline, couple, folder, tmp_path):
    tone(tmp_path / "anna.wav", 0.4, 300)
    tone(tmp_path / "bert.wav", 0.4, 700)
    listing = tmp_path / "who.csv"
    listing.write_text('start,end,face,sound\n0.08,0.4,"point:112,60",anna.wav\n0.24,0.6,"point:370,60",bert.wav\n')
    job = Job(couple, None, tmp_path / "out.mkv", segments=listing)
    pipeline = pipeline.adjusted(strict_pose="force")  # these faces are drawn
    render_job = prepared(pipeline, job)
    frames, before = list(render_job.frames()), list(read_frames(couple))[: render_job.plan.frames]
    left, right = changed(frames, before)
    assert left == list(range(2, 10)) and right == list(range(6, 15))
    assert render_job.plan.frames == 15 and render_job.edited == 13
    dub(pipeline, job)
    assert probe(job.output).audio
    loud = np.abs(read_sound(job.output).samples) > 0.02
    assert not loud[:1000].any() and loud[2000:9000].any()


@pytest.mark.slow
def test_a_segment_hears_its_own_sound_from_its_start(pipeline, couple, tmp_path):
    """The same words said at 0.2 s are the same mouths, 5 frames later, if the video stands still."""
    tone(tmp_path / "words.wav", 0.6)
    late, early = tmp_path / "late.csv", tmp_path / "early.csv"
    early.write_text("start,end,sound\n0,0.4,words.wav\n")
    late.write_text("start,end,sound\n0.32,0.72,words.wav\n")
    still = pipeline.adjusted(first_frame=True, length="audio")
    jobs = [Job(couple, None, tmp_path / "o.mp4", segments=listing) for listing in (early, late)]
    first, second = (list(prepared(still, job).frames()) for job in jobs)
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(first[:10], second[8:18], strict=True))


@pytest.mark.slow
def test_one_sound_for_all_is_heard_by_each_at_its_own_time(pipeline, couple, folder, tmp_path):
    listing = tmp_path / "who.jsonl"
    listing.write_text('{"start": 0.2, "end": 0.4}\n')
    job = Job(couple, folder / "words.wav", tmp_path / "o.mp4", segments=listing)
    job_plan, words = pipeline.plan(job), folder / "words.wav"
    render_job, whole = pipeline.prepare(job_plan), prepared(pipeline, Job(couple, words, tmp_path / "o.mp4"))
    pairs = list(zip(render_job.frames(5, 10), whole.frames(5, 10), strict=True))
    assert all(np.array_equal(a, b) for a, b in pairs) and job_plan.media.output_sound == words


@pytest.mark.slow
def test_one_face_cannot_say_two_things(pipeline, couple, folder, tmp_path):
    listing = tmp_path / "who.csv"
    listing.write_text("start,end,face\n0,0.5,largest\n0.4,0.8,index:0\n")
    with fails(BadValue, "--segments", "0.40 s"):
        prepared(pipeline, Job(couple, folder / "words.wav", tmp_path / "o.mp4", segments=listing))
