"""A config goes through JSON unharmed, and a typo is an error that says where."""

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from core.errors import BadInput
from guided_diffusion.engine.config import from_dict, to_dict, with_overrides


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    widths: tuple[int, ...] = (1, 2)
    spacing: str = "ddim25"

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate cannot be {self.rate}")


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    count: int = 3
    exact: bool = True
    limit: int | None = None
    fill: Literal["noise", "zeros"] = "noise"


CHANGED = Outer(Inner(0.25, (3, 4, 5), "8"), count=7, exact=False, limit=9, fill="zeros")


@pytest.mark.parametrize("config", [Outer(), CHANGED])
def test_a_config_survives_json(config: Outer) -> None:
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


def test_what_is_left_out_keeps_its_default() -> None:
    assert from_dict(Outer, {"inner": {"rate": 1}}) == Outer(Inner(1.0))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"cuont": 3}, r"model\.json: unknown key 'cuont'; Outer knows count, exact, fill, inner, limit"),
        ({"inner": {"rat": 1}}, r"model\.json\.inner: unknown key 'rat'"),
        ({"count": "three"}, r"model\.json\.count: 'three' is not of type int"),
        ({"count": 3.5}, r"model\.json\.count: 3\.5 is not of type int"),
        ({"count": True}, r"model\.json\.count: True is not of type int"),
        ({"exact": 1}, r"model\.json\.exact: 1 is not of type bool"),
        ({"inner": 3}, r"model\.json\.inner: 3 is not of type Inner"),
        ({"inner": {"widths": [1, "2"]}}, r"model\.json\.inner\.widths: '2' is not of type int"),
        ({"inner": {"widths": 2}}, r"model\.json"),
        ({"inner": {"rate": -1}}, r"model\.json\.inner: rate cannot be -1\.0"),
        ({"fill": "grey"}, r"model\.json\.fill: 'grey' is none of noise, zeros"),
        ({"limit": "x"}, r"model\.json\.limit: 'x' is not of type int"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(values: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        from_dict(Outer, values, "model.json")


def test_overrides_change_what_they_name() -> None:
    settings = ["inner.rate=0.25", "inner.widths=[3,4,5]", "inner.spacing=8", "count=7", "exact=false", "limit=9"]
    assert with_overrides(Outer(), [*settings, "fill=zeros"]) == CHANGED
    assert with_overrides(CHANGED, ["limit=null"]).limit is None
    assert with_overrides(Outer(), ["inner.spacing=10,15"]).inner.spacing == "10,15"


@pytest.mark.parametrize("override", ["count", "count=x", "nothing=1", "inner.nothing=1", "count.deep=1", "fill=grey"])
def test_an_override_that_does_not_fit_is_refused(override: str) -> None:
    with pytest.raises(BadInput, match="--set"):
        with_overrides(Outer(), [override])
