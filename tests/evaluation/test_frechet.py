"""The Frechet distance against closed forms, and the features it is of."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import Unreadable
from evaluation.metrics.frechet import FID, Frechet, Moments, frechet_distance
from evaluation.metrics.i3d import VideoFeatures
from evaluation.metrics.inception import BlockA, BlockE, InceptionFeatures, fid_inception
from tests.helpers.failing import fails
from tests.helpers.seeded import seeded
from tests.helpers.video_samples import noise, video_sample

CPU = torch.device("cpu")


def test_gaussians_whose_axes_agree_have_a_closed_form() -> None:
    c, d = np.array([1.0, 4.0, 0.25]), np.array([9.0, 4.0, 0.0])
    m, n = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])
    expected = ((m - n) ** 2).sum() + ((np.sqrt(c) - np.sqrt(d)) ** 2).sum()
    assert frechet_distance(m, np.diag(c), n, np.diag(d)) == pytest.approx(expected)


@pytest.mark.parametrize("rows", [40, 6])
def test_others_agree_with_the_eigenvalues_of_the_product(rows: int) -> None:
    """tr (C D)^(1/2) is the sum of the roots of the eigenvalues of C D, which pytorch-fid takes a matrix root for."""
    generator = np.random.default_rng(rows)
    one, other = generator.normal(size=(rows, 8)), generator.normal(size=(rows, 8)) @ generator.normal(size=(8, 8)) + 1
    c, d = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    shared = np.sqrt(np.maximum(np.linalg.eigvals(c @ d).real, 0)).sum()
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * shared
    assert frechet_distance(one.mean(0), c, other.mean(0), d) == pytest.approx(expected, rel=1e-5)


def test_moments_that_come_in_parts_are_those_of_the_whole() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    moments = Moments()
    for part in np.split(rows, [1, 12]):
        moments.add(part)
    mean, covariance = moments.gaussian()
    assert np.allclose(mean, rows.mean(axis=0)) and np.allclose(covariance, np.cov(rows, rowvar=False), atol=1e-6)
    with fails(ValueError, "covariance"):
        Moments().gaussian()


def test_equal_heaps_are_not_apart_and_a_single_clip_has_no_distance() -> None:
    metric = Frechet(FID, lambda sample: sample.faces.reshape(len(sample), -1)[:, :6].astype(np.float32))
    assert metric.result() is None
    a = video_sample(noise(12))
    assert metric.update(a, a) is None
    assert metric.result() == pytest.approx(0, abs=1e-6)
    metric.update(a, video_sample(noise(12, seed=1)))
    assert metric.result() > 1


class Mean(nn.Module):
    """Stands for Inception: the mean colour, and how large the picture was."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(dim=(2, 3)), torch.full((len(x), 1), x.shape[3])], dim=1)


def test_inception_sees_the_crops_at_its_own_size_in_its_own_range() -> None:
    faces = np.stack([np.full((32, 32, 3), shade, np.uint8) for shade in (0, 255, 51)])
    found = InceptionFeatures(Mean(), CPU)(video_sample(faces))
    assert np.allclose(found, [[-1, -1, -1, 299], [1, 1, 1, 299], [-0.6, -0.6, -0.6, 299]], atol=1e-5)


@seeded()
def test_inceptions_averages_leave_the_border_out_and_its_last_block_takes_the_maximum() -> None:
    constant = torch.ones(1, 16, 4, 4)
    block = BlockA(16, pool_features=8).eval()
    with torch.no_grad():
        assert torch.allclose(block(constant)[:, -8:], block.branch_pool(constant))
        last = BlockE(16).eval()
        peak = torch.zeros(1, 16, 5, 5)
        peak[..., 2, 2] = 1
        mean = last(peak)[:, -192:]
        last.last = True
        assert torch.allclose(last(peak)[:, -192:, 1:4, 1:4], last.branch_pool(torch.ones(1, 16, 3, 3)))
        assert not torch.allclose(last(peak)[:, -192:], mean)


@pytest.mark.slow
def test_inception_has_the_published_layout(tmp_path: Path) -> None:
    network = fid_inception()
    assert network.Mixed_7c.last and not network.Mixed_7b.last
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert state["fc.weight"].shape == (1008, 2048) and not any(key.startswith("AuxLogits") for key in state)
    torch.save(state, tmp_path / "inception.pth")
    assert InceptionFeatures.load(tmp_path / "inception.pth", CPU)(video_sample(noise(1))).shape == (1, 2048)


class Video(nn.Module):
    """Stands for I3D, with the switches of its TorchScript."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert rescale and resize and return_features and x.shape[:3] == (1, 3, 16)
        return x.mean(dim=[2, 3, 4]).repeat(1, 134)[:, :400]


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_video_features_are_of_sixteen_frames_end_to_end(tmp_path: Path) -> None:
    torch.jit.script(Video()).save(str(tmp_path / "i3d_torchscript.pt"))
    features = VideoFeatures(tmp_path / "i3d_torchscript.pt", CPU)
    faces = noise(40)
    found = features(video_sample(faces))
    assert found.shape == (2, 400)
    assert np.allclose(found[1, :3], faces[16:32].mean(axis=(0, 1, 2)), atol=1e-3)
    assert features(video_sample(faces[:15])).shape == (0, 400)
    (tmp_path / "other.pt").write_bytes(b"other")
    with fails(Unreadable, "other.pt", "TorchScript"):
        VideoFeatures(tmp_path / "other.pt", CPU)
