"""A FaceSampler makes the same with the same seed, however its work is divided, and never touches what is visible."""

import math
from dataclasses import replace

import pytest
import torch
from test_diff2lip import OURS, PAPER

from dataset import ClipBatch, stack, window
from guided_diffusion.engine.device import store_weights
from guided_diffusion.samplers import SampleConfig
from scripts.formula import fill
from systems import validation
from systems.diff2lip import Diff2Lip, Diff2LipConfig
from systems.diff2lip.system import Conditions
from systems.system import FaceSampler
from tests.helpers.toy import talking

CLIPS = stack([window(talking(n), 3, 3, 10) for n in range(2)])
FEW = SampleConfig("dpm++", "3")


def speaking(config: Diff2LipConfig = OURS) -> Diff2Lip:
    model = Diff2Lip(config)
    fill(model.network)
    return model.eval().requires_grad_(False)


def part(clips: ClipBatch, rows: slice, frames: slice) -> ClipBatch:
    return ClipBatch(
        clips.faces[rows, frames], clips.reference[rows, frames], {"mel": clips.mel[rows, frames]}, clips.speech[rows]
    )


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++"])
@pytest.mark.parametrize("config", [PAPER, OURS], ids=["paper", "ours"])
def test_same_seed_same_faces(config: Diff2LipConfig, sampler: str) -> None:
    sampling = SampleConfig(sampler, "3")  # type: ignore[arg-type]
    faces = FaceSampler(speaking(config), sampling)(CLIPS)
    assert faces.shape == CLIPS.faces.shape and faces.dtype == torch.float32 and faces.abs().max() <= 1
    assert torch.equal(faces, FaceSampler(speaking(config), sampling)(CLIPS))
    other = FaceSampler(speaking(config), sampling, seed=8)(CLIPS)
    assert not torch.equal(faces, other)
    assert torch.equal(faces[..., :16, :], CLIPS.faces[..., :16, :])
    assert torch.equal(other[..., :16, :], CLIPS.faces[..., :16, :])


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++"])
def test_any_division_of_the_work_gives_the_same_faces(sampler: str) -> None:
    speaker = FaceSampler(speaking(), SampleConfig(sampler, "3"))  # type: ignore[arg-type]
    whole = speaker(CLIPS)
    rows = torch.cat([speaker(part(CLIPS, slice(i, i + 1), slice(None))) for i in range(2)])
    frames = torch.cat([speaker(part(CLIPS, slice(None), slice(k, k + 1))) for k in range(3)], dim=1)
    assert torch.allclose(rows, whole, atol=1e-4) and torch.allclose(frames, whole, atol=1e-4)


def test_frames_of_a_clip_start_from_one_noise() -> None:
    """Frames that are alike in all that is seen and heard come out alike, so that a still face does not flicker."""
    still = replace(
        CLIPS, faces=CLIPS.faces[:, :1].expand_as(CLIPS.faces), audio={"mel": CLIPS.mel[:, :1].expand_as(CLIPS.mel)}
    )
    faces = FaceSampler(speaking(), FEW)(still)
    assert torch.allclose(faces, faces[:, :1].expand_as(faces), atol=1e-5)


@pytest.mark.slow
def test_noise_depends_on_seed_and_draw_alone() -> None:
    one, other = FaceSampler(speaking(), seed=1), FaceSampler(speaking(PAPER), seed=1)
    assert one.noise(0).shape == (1, 3, 32, 32)
    assert torch.equal(one.noise(3), other.noise(3))
    assert len({float(FaceSampler(speaking(), seed=s).noise(d).sum()) for s in (1, 2) for d in (0, 1, 2)}) == 6
    assert torch.isfinite(FaceSampler(speaking(), seed=2**63 - 1).noise(2)).all()


@pytest.mark.slow
def test_it_leaves_the_system_as_it_is_and_stored_weights_change_no_face() -> None:
    system = speaking()
    faces = FaceSampler(system, FEW, precision=torch.bfloat16)(CLIPS)
    assert {parameter.dtype for parameter in system.parameters()} == {torch.float32}
    assert torch.equal(FaceSampler(store_weights(system, torch.bfloat16), FEW, precision=torch.bfloat16)(CLIPS), faces)


def test_it_samples_as_the_checkpoint_says_unless_told_otherwise() -> None:
    system = speaking()
    assert FaceSampler(system).sampling == OURS.sampling
    assert FaceSampler(system, FEW).sampling == FEW


@pytest.mark.slow
@pytest.mark.parametrize("config", [PAPER, OURS], ids=["paper", "ours"])
def test_audio_strength_goes_from_silence_over_what_is_heard_and_beyond(config: Diff2LipConfig) -> None:
    once = SampleConfig("ddim", "1", clip=False)  # one step is linear in what the network says

    def faces(strength: float, clips: ClipBatch = CLIPS) -> torch.Tensor:
        return FaceSampler(speaking(config), replace(once, audio_strength=strength))(clips)

    silent, heard = faces(1, CLIPS.with_audio(mel=torch.full_like(CLIPS.mel, -4))), faces(1)
    assert not torch.allclose(silent, heard, atol=1e-2)
    scale = 1e-4 * float(heard.abs().max())
    assert torch.allclose(faces(0), silent, atol=scale)
    assert torch.allclose(faces(1.5), heard + (heard - silent) / 2, atol=scale)
    assert torch.equal(faces(1.5)[..., :16, :], CLIPS.faces[..., :16, :])


@pytest.mark.slow
def test_an_audio_strength_takes_a_second_look_only_where_it_is_not_one(monkeypatch: pytest.MonkeyPatch) -> None:
    system, calls = speaking(), []
    denoise = system.denoise

    def counted(x_t: torch.Tensor, t: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        calls.append(len(x_t))
        return denoise(x_t, t, conditions)

    monkeypatch.setattr(system, "denoise", counted)
    for strength, looks in ((1.0, 3), (1.3, 6)):
        calls.clear()
        FaceSampler(system, replace(FEW, audio_strength=strength))(CLIPS)
        assert len(calls) == looks
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="strength"):
            replace(FEW, audio_strength=wrong)


def test_held_out_windows_come_from_the_middle_of_clips_all_over() -> None:
    clips = [talking(n, frames=20 + n) for n in range(10)] + [talking(99, frames=5)]
    batch = validation.held_out_windows(clips, frames=3, count=4)
    expected = stack([window(clips[n], (20 + n - 3) // 2, 3, 0) for n in (0, 3, 6)])  # the last is too short
    assert torch.equal(batch.faces, expected.faces) and torch.equal(batch.mel, expected.mel)
    assert len(validation.held_out_windows(clips, frames=3, count=64).faces) == 10
    moments = validation.held_out_windows(clips, frames=3, count=64, per_clip=4)
    assert moments.clip is not None and moments.clip.tolist() == [n for n in range(10) for _ in range(4)]


def test_another_sound_is_another_clips_sound() -> None:
    other = validation.mismatched(CLIPS)
    assert torch.equal(other.faces, CLIPS.faces) and torch.equal(other.reference, CLIPS.reference)
    assert torch.equal(other.mel, CLIPS.mel.flip(0)) and torch.equal(other.speech, CLIPS.speech.flip(0))


def test_the_ratio_is_of_the_lower_half_in_decibels() -> None:
    truth = torch.zeros(2, 3, 3, 8, 8)
    faces = truth + 0.2
    faces[..., :4, :] = 1  # of the upper half it knows nothing
    assert validation.psnr_of_mouth_half(faces, truth) == pytest.approx(20, abs=1e-3)  # 10 log10(2^2 / 0.2^2)


@pytest.mark.slow
def test_a_system_that_hears_is_told_from_one_that_does_not() -> None:
    class Deaf(Diff2Lip):
        def conditions(self, clips: ClipBatch, noise: torch.Tensor):  # type: ignore[no-untyped-def]
            return super().conditions(clips.with_audio(mel=torch.zeros_like(clips.mel)), noise)

    deaf = Deaf(OURS)
    fill(deaf.network)
    figures = validation.audio_gap(deaf.eval(), CLIPS)
    assert figures["audio_gap_db"] == 0 and figures["matched_db"] == figures["mismatched_db"]
    assert validation.audio_gap(speaking(), CLIPS)["audio_gap_db"] != 0
    assert figures["reference_db"] == validation.psnr_of_mouth_half(CLIPS.reference, CLIPS.faces)


@pytest.mark.slow
def test_a_strip_shows_reference_truth_and_both_sounds() -> None:
    picture = validation.strip(speaking(), part(CLIPS, slice(None), slice(0, 1)))
    assert picture.shape == (2 * 32, 4 * 32, 3) and picture.dtype == "uint8"
    shown = torch.from_numpy(picture[:32, 32:64]).permute(2, 0, 1).float() / 127.5 - 1
    assert torch.allclose(shown, CLIPS.faces[0, 0], atol=0.01)
