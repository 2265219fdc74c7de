"""What a run reads against what it writes: a program writes only where it was told, and never over what it reads.

    parser.add_argument("--video", type=reads) ...  parser.add_argument("--output", type=writes)
    guard(parser, options)                          before any work

Two paths are one file if they lead to it by links, hard ones too, by `..`, or by another case where the file system
does not tell cases apart.
"""

import argparse
import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

from core.atomic import FULL
from core.errors import Unwritable

LONGEST_NAME, LONGEST_PATH = 255, 4096  # bytes, where files are kept today
Named = tuple[str, Path]
"""How the user said a path ("--output"), and the path."""
Key = tuple[object, ...]


def reads(text: str) -> Path:
    """The type of a flag that names a file or folder which the program reads."""
    return _spelled(text)


def writes(text: str) -> Path:
    """The type of a flag that names a file which the program writes."""
    path = _spelled(text)
    if not path.name:  # nor could a name be made from it
        raise argparse.ArgumentTypeError(f"{text} is a folder; give the name of a file in it")
    return path


def writes_into(text: str) -> Path:
    """The type of a flag that names a folder; which files a program writes there, it says to `guard` itself."""
    return _spelled(text)


def roles(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[list[Named], list[Named]]:
    """The paths that the flags of a program name: those that it reads, and those that it writes."""
    return _named(parser, options, reads), _named(parser, options, writes)


def _named(parser: argparse.ArgumentParser, options: argparse.Namespace, role: object) -> list[Named]:
    found: list[Named] = []
    for action in _actions(parser):
        value = getattr(options, action.dest, None)
        if action.type is role and value is not None:
            name = action.option_strings[-1] if action.option_strings else action.dest.upper()
            found += [(name, path) for path in (value if isinstance(value, list) else [value])]
    return found


def guard(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    *,
    inputs: Iterable[Named] = (),
    outputs: Iterable[Named] = (),
    owned: Iterable[Named] = (),
) -> None:
    """`check` for all paths that flags name, and for more that follow from them; and that their folders can be made."""
    read, written = roles(parser, options)
    check([*read, *inputs], [*written, *outputs], owned)
    for name, path in _named(parser, options, writes_into):
        check_folder(name, path)
    for name, path in written:
        check_folder(name, path, within=path.parent)


def check(read: Iterable[Named], written: Iterable[Named], owned: Iterable[Named] = ()) -> None:
    """BadInput if something would be written over what is read, or over something else that is written.

    owned: folders whose files a program makes and removes; nothing else may be said to lie in them.  A folder that is
    read stands for the files in it.
    """
    inputs, outputs, folders = list(read), list(written), list(owned)
    for name, path in (*inputs, *outputs):
        check_spelling(name, path)
    known = {_key(file): (name, file) for name, path in inputs for file in files_of(path)}
    targets: dict[Key, Named] = {}
    for name, path in (*outputs, *folders):
        key = _key(path)
        if key in known:
            other, file = known[key]
            what = f"that of {other}" if file == path else f"the same file as {other} {file}"
            raise Unwritable(f"{name} {path}: is the input itself, {what}; choose another name")
        if key in targets:
            other, file = targets[key]
            raise Unwritable(f"{name} {path}: would be written over {other} {file}; give them different names")
        targets[key] = name, path
    for name, path in (*inputs, *outputs):
        for key in _above(path):
            if key not in targets:
                continue
            target = targets[key]
            if target in folders or ((name, path) in outputs and not target[1].is_dir()):
                raise Unwritable(
                    f"{name} {path}: lies in {target[1]}, which the program makes and removes; choose another place"
                )


def check_spelling(name: str, path: Path) -> None:
    """BadInput for a path that no file system could have: a NUL, half of a character, or too long a name."""
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise Unwritable(f"{name} {str(path)!r}: no file can be called so; correct the name")
    if len(encoded) >= LONGEST_PATH or any(len(part) > LONGEST_NAME for part in encoded.split(os.sep.encode())):
        raise Unwritable(f"{name} {str(path)[:60]}...: no file can have so long a name; correct it")


def check_folder(name: str, path: Path, *, within: Path | None = None) -> None:
    """Unwritable for a folder that cannot be, since something else is there or above it, or in which none may write.

    within: the folder that is meant, if the path is that of a file in it.
    """
    check_spelling(name, path)
    folder = (within or path).absolute()
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise Unwritable(f"{name} {path}: {place} is no folder; choose another place")
            if not _may_write(place):
                raise Unwritable(f"{name} {path}: nothing may be written in {place}; choose another place")
            return


def _may_write(folder: Path) -> bool:
    """Whether a file can be made there, which in /proc not even they can who may do everything."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        TemporaryFile(dir=folder).close()
    except OSError as problem:
        return problem.errno in FULL  # as whoever writes will say, with the remedy
    return True


def files_of(path: Path) -> Iterator[Path]:
    """A file itself, or the files right in a folder and in its folders; the folder too."""
    yield path
    if path.is_dir():
        yield from (file for pattern in ("*", "*/*") for file in path.glob(pattern) if file.is_file())


def _spelled(text: str) -> Path:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path")
    return Path(text)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _actions(sub)


def _key(path: Path) -> Key:
    """What two paths have in common exactly if they lead to one file, whether or not it is there."""
    return _place(Path(os.path.realpath(path)))


def _above(path: Path) -> Iterator[Key]:
    return map(_place, Path(os.path.realpath(path)).parents)


def _place(path: Path) -> Key:
    try:
        status = path.stat()
    except OSError:
        if path.parent == path:
            return (str(path),)
        name = unicodedata.normalize("NFC", path.name)
        return (*_place(path.parent), name.casefold() if _folds(path.parent) else path.name)
    return status.st_dev, status.st_ino


def _folds(folder: Path) -> bool:
    """Whether its file system takes A and a for the same name, as far as the folder's own name can tell."""
    for place in (folder, *folder.parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if place.exists() and other.name != place.name:
            return other.exists() and other.samefile(place)
    return False
