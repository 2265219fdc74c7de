"""A header that lies is noticed before anything is allocated."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.npz import check_arrays
from tests.helpers.failing import fails


def test_honest_arrays_pass(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((3, 4), np.float32), b=np.float64(2), c=np.zeros(0))
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(10**6))
    check_arrays(tmp_path / "a.npz")
    check_arrays(tmp_path / "b.npz")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(1000000, 1000000)", "(5,)"])
def test_a_declared_size_that_is_not_there_is_refused(tmp_path: Path, shape: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros(4, np.float32))
    data = (tmp_path / "a.npy").read_bytes()
    header = data[10:128].replace(b"(4,)", shape.encode())
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", data[:8] + len(header).to_bytes(2, "little") + header + data[128:])
    with fails(ValueError, "a.npy"):
        check_arrays(tmp_path / "a.npz")
