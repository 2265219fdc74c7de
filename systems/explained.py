"""The settings of a preset as a person reads them: name, value, what it is."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import NamedTuple

from guided_diffusion.engine.config import Config

from .preset import SECTIONS, Preset


class Setting(NamedTuple):
    """name: as --set takes it; value: as --set writes it; text: the first sentence about it, empty if there is none."""

    name: str
    value: str
    text: str


def settings(preset: Preset[Config]) -> list[Setting]:
    """All of a preset, in the order of its sections."""
    return [setting for section in SECTIONS for setting in _of(getattr(preset, section), section)]


def table(preset: Preset[Config]) -> str:
    """A line a setting."""
    rows = settings(preset)
    names, values = max(len(row.name) for row in rows), min(max(len(row.value) for row in rows), 24)
    return "\n".join(f"{row.name:<{names}}  {row.value:<{values}}  {row.text}".rstrip() for row in rows)


def _of(config: Config, where: str) -> Iterator[Setting]:
    texts = _texts(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{where}.{field.name}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _of(value, name)
        else:
            yield Setting(name, _written(value), texts.get(field.name, ""))


def _written(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (tuple, list)):
        return "[" + ",".join(map(_written, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _texts(kind: type) -> dict[str, str]:
    """What the docstring of a config, and those of what it is made of, say about each field.

    A line such as `warmup, cooldown   the learning rate rises ...` begins what is said; indented lines continue it.
    """
    texts: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        fields = {field.name for field in dataclasses.fields(cls)}
        entries = re.findall(r"^(\w+(?:, \w+)*) {2,}(\S.*(?:\n[ ]{3,}\S.*)*)", inspect.getdoc(cls) or "", re.M)
        for names, text in entries:
            sentence = re.split(r"(?<=[a-z0-9)])(?<!et al)[.;] ", " ".join(text.split()))[0].rstrip(".")
            texts |= {name: sentence for name in names.split(", ") if name in fields}
    return texts
