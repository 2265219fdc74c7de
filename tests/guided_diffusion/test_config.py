"""A config goes through JSON unharmed, and a typo is an error that says where."""

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from core.errors import BadValue
from guided_diffusion.engine.config import from_dict, to_dict, with_overrides
from tests.helpers.failing import fails


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
    ("values", "place", "named"),
    [
        ({"cuont": 3}, "", "'cuont'"),
        ({"inner": {"rat": 1}}, ".inner", "'rat'"),
        ({"count": "three"}, ".count", "'three'"),
        ({"count": 3.5}, ".count", 3.5),
        ({"count": True}, ".count", True),
        ({"exact": 1}, ".exact", "bool"),
        ({"inner": 3}, ".inner", "Inner"),
        ({"inner": {"widths": [1, "2"]}}, ".inner.widths", "'2'"),
        ({"inner": {"widths": 2}}, ".inner.widths", "[2]"),
        ({"inner": {"rate": -1}}, ".inner", "rate"),
        ({"fill": "grey"}, ".fill", "noise, zeros"),
        ({"limit": "x"}, ".limit", "'x'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(values: dict[str, object], place: str, named: object) -> None:
    with fails(BadValue, f"model.json{place}: ", named):
        from_dict(Outer, values, "model.json")


def test_overrides_change_what_they_name() -> None:
    settings = ["inner.rate=0.25", "inner.widths=[3,4,5]", "inner.spacing=8", "count=7", "exact=false", "limit=9"]
    assert with_overrides(Outer(), [*settings, "fill=zeros"]) == CHANGED
    assert with_overrides(CHANGED, ["limit=null"]).limit is None
    assert with_overrides(Outer(), ["inner.spacing=10,15"]).inner.spacing == "10,15"


@pytest.mark.parametrize("override", ["count", "count=x", "nothing=1", "inner.nothing=1", "count.deep=1", "fill=grey"])
def test_an_override_that_does_not_fit_is_refused(override: str) -> None:
    with fails(BadValue, "--set"):
        with_overrides(Outer(), [override])
