"""Configuration is a type: frozen dataclasses that go through JSON, where an unknown key is an error."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from core.errors import BadValue, Unreadable


class Config(Protocol):
    """A dataclass, whichever."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


C = TypeVar("C", bound=Config)
V = TypeVar("V")
LARGEST = 2**53  # what JSON holds exactly


def to_dict(config: Config) -> dict[str, Any]:
    """A config as plain JSON values; nested configs become nested dictionaries."""
    return dataclasses.asdict(config)


def changes(before: Mapping[str, object], after: Mapping[str, object], where: str = "") -> list[str]:
    """What became another value, as "loss.sync 0.0 -> 0.1"; what one of the two does not say is left out."""
    differences = []
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            differences += changes(old, new, f"{where}{name}.")
        elif old != new:
            differences.append(f"{where}{name} {old} -> {new}")
    return differences


def from_dict(kind: type[C], values: dict[str, Any], where: str = "config") -> C:
    """The inverse of `to_dict`.  Raises BadInput on an unknown key or a value that does not fit."""
    if not isinstance(values, dict):
        raise Unreadable(f"{where}: its config is no table of settings; use another checkpoint")
    values = current_names(kind, values)
    upgraded = getattr(kind, "upgraded", None)
    values = upgraded(values) if upgraded is not None else values  # what an older version of this config said
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise BadValue(f"{where}: unknown key {unknown[0]!r}; {kind.__name__} knows {', '.join(sorted(names))}")
    try:
        return kind(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in values.items()})
    except (TypeError, ValueError, ArithmeticError, LookupError) as problem:
        raise BadValue(f"{where}: {problem}") from problem


def current_names(kind: type, values: Mapping[str, V]) -> dict[str, V]:
    """The values by the names that a config has now.

    A config that once called its fields otherwise says so in RENAMED, a ClassVar {old name: name}: checkpoints and
    command lines keep the old ones for ever.
    """
    renamed: Mapping[str, str] = getattr(kind, "RENAMED", {})
    return {renamed.get(name, name): value for name, value in values.items()}


def _convert(hint: Any, value: Any, where: str) -> Any:
    """One JSON value as the type that the field declares."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        hint = next(a for a in arguments if a is not type(None))
        return _convert(hint, value, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_dict(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise BadValue(f"{where}: {value!r} is not a list; write it as [{value}]")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is typing.Literal:
        if value not in arguments:
            raise BadValue(f"{where}: {value!r} is none of {', '.join(map(str, arguments))}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        value = float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise BadValue(f"{where}: {value!r} is not of type {hint.__name__}")
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
        raise BadValue(f"{where}: {str(value)[:30]} is no number of a network; use one up to {LARGEST}")
    return value


def with_overrides(config: C, overrides: typing.Iterable[str]) -> C:
    """The config with `a.b=value` settings applied, each value written as JSON or a bare word.

    Raises BadInput on an unknown name or a value of the wrong type.
    """
    import json

    values = to_dict(config)
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise BadValue(f"--set {override}: write it as name=value")
        *parents, leaf = name.split(".")
        node, owner = values, config
        for parent in parents:
            (parent,) = current_names(type(owner), {parent: None})
            inner = node.get(parent)
            if not isinstance(inner, dict):
                raise BadValue(f"--set {override}: {parent!r} is not a group of settings")
            node, owner = inner, getattr(owner, parent)
        (leaf,) = current_names(type(owner), {leaf: None})
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        node[leaf] = text if isinstance(node.get(leaf), str) and not isinstance(value, str) else value
    return from_dict(type(config), values, "--set")
