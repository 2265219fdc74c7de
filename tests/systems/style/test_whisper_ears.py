"""Stage 1 with Whisper's ears: trained from a pack, kept in its own checkpoint, the same whoever makes which part."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audio import Mel, Sound, open_sound
from audio.whisper import WhisperConfig
from core.errors import Mismatch, Unreadable
from dataset.pack import Labels
from face_detection.alignment import POINTS
from guided_diffusion.engine.checkpoint import save_checkpoint
from systems.initialisation import adopt_audio_encoder
from systems.registry import describe, load_motion, specifications
from systems.style import SPACE, LipMotion, PredictingObjective, SequenceData, labelled, motion_samples
from systems.style.motion_training import _range
from systems.style.sound_variation import SoundVariation, varied
from systems.training import train
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.talking_head import talking, tone
from tests.helpers.tiny_motion import CONFIG, NUMBERS, space
from video import write_video

TINY = WhisperConfig(width=8, heads=2, blocks=1)
EARS = replace(CONFIG, predictor=replace(CONFIG.predictor, audio_encoder="whisper", whisper=TINY))
SETTINGS = [
    "model.size=32", "model.motion_dim=4", "model.reader.widths=[32,32]", "model.reader.hidden=32",
    "model.predictor.width=32", "model.predictor.heads=2", "model.predictor.reach=2",
    "model.predictor.audio_encoder=whisper",
    "model.predictor.whisper.width=8", "model.predictor.whisper.heads=2", "model.predictor.whisper.blocks=1",
    "train.precision=fp32", "train.batch=4", "train.warmup=0", "train.cooldown=0", "train.steps=2", "train.log_every=1",
    "train.evaluate_every=2", "data.frames=8", "data.least=10", "data.most=20", "data.stretch=8", "loss.range=1",
]  # fmt: skip


def model(seed: int = 0) -> LipMotion:
    with seeded(seed):
        made = LipMotion(EARS).eval().requires_grad_(False)
        torch.nn.init.normal_(made.predictor.head[1].weight, std=0.5)
    made.space.load_state_dict(space().state_dict())
    return made


def save(path: Path, made: LipMotion) -> Path:
    save_checkpoint(path, describe("motion", made, 0, made.state_dict()), torch.float16)
    return path


def pack(folder: Path, *, fps: int = 25) -> Path:
    """Two clips each of two speakers, and one to measure by."""
    for place in ("train/ann/a", "train/ann/b", "train/bob/a", "train/bob/b", "test/eve/a", "test/eve/b"):
        path = folder / "piece-000" / f"{place}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = tone(folder / "tone.wav", 24 / fps, 150)
        write_video(path, talking(24), Fraction(fps), sound=sound, preset="ultrafast")
        motion = np.random.default_rng(len(place)).normal(size=(24, NUMBERS)).astype(np.float32)
        Labels(np.zeros((24, len(POINTS), 2), np.float32), motion, motion[:, 0]).save(path.with_suffix(".npz"))
    return folder


def test_a_checkpoint_carries_its_ears(tmp_path: Path) -> None:
    made = model()
    again = load_motion(save(tmp_path / "motion.safetensors", made))
    assert again.config == EARS
    sound = open_sound(tone(tmp_path / "tone.wav", 1))
    one, other = (each.hear(sound, [range(30)])(0, 30) for each in (made, again))
    assert one.shape == (30, 8) and torch.allclose(one, other, atol=1e-2)


def test_what_is_heard_does_not_depend_on_what_else_is_asked_for(tmp_path: Path) -> None:
    sound = open_sound(tone(tmp_path / "tone.wav", 9.7))
    made = model()
    whole = made.hear(sound, [range(250)])(0, 250)
    for part in (range(3), range(90, 140), range(210, 250)):
        assert torch.equal(made.hear(sound, [part])(part.start, part.stop), whole[part.start : part.stop])
    behind = made.hear(sound, [range(2000)])(1990, 2000)
    assert torch.equal(behind, behind[:1].expand(10, -1))  # silence, however long it lasts


def test_a_sound_without_samples_is_one_sentence() -> None:
    with fails(Mismatch, "Whisper"):
        model().hear(Sound(Mel(np.full((1, 80), -4, np.float32), 0.0)), [range(3)])


@pytest.mark.slow
def test_a_pack_is_heard_and_moves_at_25_frames_a_second(tmp_path: Path) -> None:
    clips = labelled(pack(tmp_path, fps=50), 32, space())["train"]
    assert [clip.speaker for clip in clips] == ["ann", "ann", "bob", "bob"]
    assert torch.equal(clips[0].moves, clips[0].motion[::2]) and clips[0].sources == list(range(0, 24, 2))
    with fails(Mismatch, "4 numbers", 3):
        labelled(tmp_path, 32, type(space())(3))


@pytest.mark.slow
@seeded(1)
def test_it_is_trained_from_a_pack_with_another_predictors_reader(tmp_path: Path) -> None:
    mel = LipMotion(CONFIG)
    mel.space.load_state_dict(space().state_dict())
    first, ears = tmp_path / "mel.safetensors", tmp_path / "whisper.safetensors"
    save_checkpoint(first, describe("motion", mel, 0, mel.state_dict()))
    heard = {name: value.contiguous() for name, value in model(5).sound_encoder.state_dict().items()}
    save_file(heard | {"positional_embedding": torch.zeros(1500, 8)}, ears)
    data = pack(tmp_path / "pack")
    train("motion", data, tmp_path / "run", init=first, audio_encoder=ears, settings=SETTINGS, device="cpu")
    made = load_motion(tmp_path / "run" / "weights.safetensors")
    for name in ("reader", "space"):
        kept, found = (getattr(each, name).state_dict() for each in (mel, made))
        assert all(torch.equal(value, kept[key].half().float()) for key, value in found.items())
    assert all(torch.equal(value, heard[key].half().float()) for key, value in made.sound_encoder.state_dict().items())
    assert "predictor/range" in (tmp_path / "run" / "log.jsonl").read_text()

    other = model(7)
    adopt_audio_encoder(specifications()["motion"], other, tmp_path / "run" / "weights.safetensors")
    again = other.sound_encoder.state_dict()
    assert all(torch.equal(value, heard[key].half().float()) for key, value in again.items())


@pytest.mark.slow
def test_a_reader_learns_in_the_space_that_a_pack_keeps(tmp_path: Path) -> None:
    data = pack(tmp_path / "pack")
    settings = [*(setting for setting in SETTINGS if not setting.startswith(("data", "loss")))]
    with fails(Unreadable, "motion_space.npz", "scripts/pack_training.py"):
        train("motion-reader", data, tmp_path / "run", settings=settings, device="cpu")
    space().save(data / SPACE)
    train("motion-reader", data, tmp_path / "run", settings=settings, device="cpu")
    made = load_motion(tmp_path / "run" / "weights.safetensors").space.state_dict()
    assert all(torch.equal(value, space().state_dict()[key].half().float()) for key, value in made.items())


def test_range_is_what_too_little_movement_costs() -> None:
    real = torch.randn(2, 30, NUMBERS, generator=torch.Generator().manual_seed(0))
    costs = [float(_range(space(), share * real + 3, real)) for share in (0.0, 0.5, 1.0, 1.5)]
    assert costs[2] < 1e-3 < costs[1] < costs[0] and costs[3] > costs[2]
    assert PredictingObjective(range=1).range == 1


def tuned(data: Path, folder: Path, *settings: str) -> LipMotion:
    """Trained for two steps from a model whose every number is known to half precision."""
    first = save(folder.with_suffix(".safetensors"), model(5))
    train("motion", data, folder, init=first, audio_encoder=first, settings=[*SETTINGS, *settings], device="cpu")
    return load_motion(folder / "weights.safetensors")


@pytest.mark.slow
def test_ears_learn_only_where_they_are_told_to(tmp_path: Path) -> None:
    data = pack(tmp_path / "pack")
    before = model(5).sound_encoder.state_dict()
    kept = tuned(data, tmp_path / "kept", "loss.sound.voice=0.1", "loss.sound.hidden=0.3", "loss.sound.noise=1")
    learned = tuned(data, tmp_path / "learned", "loss.audio_encoder_rate=10")
    for key, value in before.items():
        assert torch.equal(kept.sound_encoder.state_dict()[key], value.half().float())
    after = learned.sound_encoder.state_dict()
    assert any(not torch.equal(value, before[key].half().float()) for key, value in after.items())
    assert "audio_encoder/gradient_norm" in (tmp_path / "learned" / "log.jsonl").read_text()


@pytest.mark.slow
def test_sound_itself_is_heard_as_what_was_kept_of_it(tmp_path: Path) -> None:
    made, data = model(), SequenceData(frames=8, least=10, most=20, stretch=8)
    clips = labelled(pack(tmp_path), 32, made.space)["train"]
    kept, anew = (motion_samples(made, data, clips, 4, 0, hears_anew=how)[3] for how in (False, True))
    with torch.inference_mode():
        heard = anew.heard_by(made.sound_encoder)
    known = kept.reference_mask
    assert torch.equal(kept.motion, heard.motion) and torch.equal(known, heard.reference_mask)
    assert torch.allclose(kept.heard, heard.heard, atol=1e-2)
    assert torch.allclose(kept.reference_heard[known], heard.reference_heard[known], atol=1e-2)


@pytest.mark.slow
def test_versions_of_a_sound_are_heard_once(tmp_path: Path) -> None:
    made, data = model(), SequenceData(frames=8, least=10, most=20, stretch=8)
    clips = labelled(pack(tmp_path), 32, made.space)["train"]
    sound = SoundVariation(noise=1.0, versions=2)
    plain, several, same = (motion_samples(made, data, clips, 4, 0, sound=how) for how in (None, sound, sound))
    steps = [(plain[step], several[step], same[step]) for step in range(6)]
    assert all(torch.equal(one.motion, other.motion) for one, other, _ in steps)
    assert all(torch.equal(one.heard, other.heard) for _, one, other in steps)
    alike = [torch.equal(one.heard[k], other.heard[k]) for one, other, _ in steps for k in range(4)]
    assert 0 < sum(alike) < len(alike)
    with fails(ValueError, "audio_encoder_rate", "sound.versions"):
        PredictingObjective(audio_encoder_rate=0.1, sound=sound)


def test_a_sound_is_varied_by_the_generator_alone() -> None:
    mels = torch.rand(3, 80, 40, generator=torch.Generator().manual_seed(0))
    for how in (SoundVariation(voice=0.2), SoundVariation(hidden=0.5), SoundVariation(noise=1.0)):
        one, same, other = (varied(mels, how, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert one.shape == mels.shape and torch.equal(one, same) and not torch.equal(one, other)
        assert not torch.equal(one, mels)
    assert torch.equal(varied(mels, SoundVariation(), torch.Generator()), mels)
    louder = varied(mels, SoundVariation(noise=1.0), torch.Generator().manual_seed(1))
    assert (louder >= mels - 1e-5).all()


def test_ears_of_the_mel_stay_as_they_are(tmp_path: Path) -> None:
    first = save(tmp_path / "first.safetensors", model(5))
    settings = [*SETTINGS, "model.predictor.audio_encoder=mel", "loss.audio_encoder_rate=0.1"]
    with fails(Mismatch, "loss.audio_encoder_rate", "model.predictor.audio_encoder=whisper"):
        train("motion", tmp_path, tmp_path / "run", init=first, audio_encoder=first, settings=settings, device="cpu")
