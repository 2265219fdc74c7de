"""Command lines that all programs read alike.

    parser = Parser(__doc__)                         as argparse's; the text is shown as it is written
    parser.add_argument("--held_out", ...)

Dashes and underscores are the same.  A mistake is one sentence beginning with `error:` and exit code 2, and says what
was probably meant.  With `add_config`, --config FILE holds flags, and --write_config FILE writes down those of a run.
"""

import argparse
import difflib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, NoReturn

from core.atomic import atomic
from core.errors import BadValue, Unreadable, not_opened
from core.guard import reads, writes

CONFIGS = ("config", "write_config")


class Parser(argparse.ArgumentParser):
    """argparse's, whose mistakes are one sentence and which takes dashes for underscores.

    names: how other programs call a flag of this one, for its answer to a flag that is unknown.
    """

    def __init__(self, description: str | None = None, *, names: Mapping[str, str] | None = None, **more: Any) -> None:
        more.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        more.setdefault("allow_abbrev", False)  # what looks at flags before they are parsed knows whole ones alone
        super().__init__(description=description, **more)
        self.names = names or {}

    def error(self, message: str) -> NoReturn:
        """One sentence, exit code 2."""
        self.exit(2, f"error: {better(message, self.flags, self.names)}; see {self.prog} --help\n")

    @property
    def flags(self) -> list[str]:
        """All that begin with two dashes."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As of argparse, which everything that parses comes to."""
        return super().parse_known_args(self.expanded(sys.argv[1:] if args is None else args), namespace)

    def expanded(self, args: Sequence[str]) -> list[str]:
        """The same words, flags spelled as they are here, those of --config before all others, which win over them.

        BadInput if the file cannot be used.
        """
        own = {flag.replace("-", "_"): flag for flag in self.flags}
        words, known = [], True
        for word in args:
            known = known and word != "--"
            word = spelled(word) if known else word
            name, equals, value = word.partition("=")
            words.append(own.get(name.replace("-", "_"), name) + equals + value if known else word)
        if "--config" not in own.values():
            return words
        parts = [word.partition("=") for word in words]
        files = [
            value if equals else "".join(words[k + 1 : k + 2])
            for k, (name, equals, value) in enumerate(parts)
            if name == "--config"
        ]
        return [flag for file in files if file for flag in read_config(self, reads(file))] + words


def add_config(group: "argparse._ArgumentGroup | argparse.ArgumentParser") -> None:
    """--config FILE and --write_config FILE, for a Parser."""
    group.add_argument("--config", type=reads, metavar="FILE",
                       help="flags from a file, JSON or TOML; those of the command line win")  # fmt: skip
    group.add_argument("--write_config", type=writes, metavar="FILE",
                       help="write all flags of this run, for --config to do it again (.json)")  # fmt: skip


def spelled(token: str) -> str:
    """--some-flag as --some_flag; values stay."""
    name, equals, value = token.partition("=")
    return name.replace("-", "_").replace("__", "--", 1) + equals + value if name.startswith("--") else token


def better(message: str, known: Sequence[str], names: Mapping[str, str]) -> str:
    """A message about flags that are unknown, with what was probably meant; others as they are."""
    if not message.startswith("unrecognized arguments"):
        return message
    hints = []
    for word in re.findall(r"(?:^|\s)--?(\w[\w-]*)", message.partition(":")[2]):
        near = nearest(word, known, names)
        hints += [f"--{near} instead of --{word}"] if near else []
    return f"{message}; did you mean {', '.join(hints)}?" if hints else message


def nearest(given: str, known: Sequence[str], names: Mapping[str, str]) -> str | None:
    """The flag, without its dashes, that was probably meant."""
    flags = [flag.removeprefix("--") for flag in known if flag.startswith("--")]
    wanted = names.get(given.replace("-", "_"))
    return wanted if wanted in flags else next(iter(difflib.get_close_matches(given, flags, 1, 0.7)), None)


def read_config(parser: Parser, path: Path) -> list[str]:
    """The flags that a file names, as words.  BadInput if it is no JSON or TOML object, or a key is no flag."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as problem:
        wrong = Unreadable(f"--config {path}: not readable as JSON or TOML ({problem}); correct it")
        raise not_opened(f"--config {path}", problem) or wrong from problem
    actions = {flag: action for action in parser._actions for flag in action.option_strings}
    words: list[str] = []
    for key, value in table.items():
        flag = f"--{key.replace('-', '_')}"
        action = actions.get(flag)
        if action is None or action.dest in ("help", "version", *CONFIGS):
            near = None if action else nearest(key, parser.flags, parser.names)
            meant = f"did you mean {near}?" if near else "leave it out"
            raise BadValue(f"--config {path}: there is no flag {key!r} that a file may set; {meant}")
        words += _words(flag, action, value, f"--config {path}: {key}")
    return words


def _words(flag: str, action: argparse.Action, value: object, where: str) -> list[str]:
    """A flag of the file as on a command line."""
    if value is None:
        return []
    if action.nargs == 0:  # store_true and the like
        if not isinstance(value, bool):
            raise BadValue(f"{where} is {value!r}; write true or false")
        return [flag] if value else []
    if isinstance(action, argparse._AppendAction):
        settings = value if isinstance(value, list) else [f"{name}={_text(item)}" for name, item in _flat(value, where)]
        return [f"{flag}={setting}" for setting in settings]
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)):
        raise BadValue(f"{where} is a table; write one value")
    return [f"{flag}={','.join(map(str, value)) if isinstance(value, list) else value}"]


def _flat(value: object, where: str, before: str = "") -> Iterator[tuple[str, object]]:
    """Nested tables as dotted names and values."""
    if not isinstance(value, dict):
        raise BadValue(f"{where} is {value!r}; write a list of NAME=VALUE, or a table")
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, where, f"{before}{name}.")
        else:
            yield f"{before}{name}", item


def _text(item: object) -> str:
    return item if isinstance(item, str) else json.dumps(item)


def write_config(parser: argparse.ArgumentParser, options: argparse.Namespace, path: Path) -> None:
    """All flags of a run that have a value, as JSON.  BadInput if nothing can be written there."""
    if path.suffix.lower() != ".json":
        raise BadValue(f"--write_config {path}: is written as JSON; choose the ending .json")
    table: dict[str, object] = {}
    for action in parser._actions:
        flag = next((flag for flag in action.option_strings if flag.startswith("--")), None)
        if flag is None or action.dest in CONFIGS or action.help == argparse.SUPPRESS:
            continue
        value = getattr(options, action.dest, None)
        if action.nargs == 0:  # store_true and the like, of which a file says the one thing
            value = True if action.const is not None and value == action.const else None
        if value is not None:
            table[flag.removeprefix("--")] = _plain(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(_json(table))


def _json(table: Mapping[str, object]) -> bytes:
    """In UTF-8; in ASCII if a name is none, whose bytes only that can spell."""
    try:
        return (json.dumps(table, indent=2, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(table, indent=2) + "\n").encode()


def _plain(value: object) -> object:
    if isinstance(value, (PurePath, Fraction)):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
