"""The house rules that can be checked: who imports whom, and what nobody does."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"core"},
    {"media"},
    {"audio", "video"},
    {"face_detection", "guided_diffusion"},
    {"dataset"},
    {"systems"},
    {"lipsync"},
    {"evaluation", "web"},
    {"generate", "generate_dist", "train", "scripts", "comfyui"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LONGEST = 350  # lines of a file
PROGRAMS = {Path("dataset/check.py")}  # lie where their names are looked for; nobody imports them
CATCHES_ALL = {
    Path("lipsync/jobs/filelist_runner.py"), Path("lipsync/rendering/lockstep.py"), Path("core/beside.py"),
}  # see CONTRIBUTING.md
FOREIGN = ("checkpoints", "runs", "results", "venv", "build")  # made by users and tools


def files() -> list[Path]:
    """Every Python file of the project, tests among them, relative to the root."""
    found = [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py"))]
    return [path for path in found if not path.parts[0].startswith((".", *FOREIGN))]


def owner(path: Path) -> str:
    """The folder or top-level module that a file belongs to."""
    if path in PROGRAMS:
        return "scripts"
    return path.parts[0] if len(path.parts) > 1 else path.stem


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, wherever in it; `from a import b` gives a and a.b."""
    package = path.parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


SOURCES = [path for path in files() if owner(path) != "tests"]
PROJECT = [path for path in SOURCES if owner(path) in LEVEL]


def test_every_file_has_its_place() -> None:
    unknown = [str(path) for path in SOURCES if owner(path) not in LEVEL]
    assert unknown == []


def test_imports_only_point_down_and_siblings_do_not_know_each_other() -> None:
    wrong = []
    for path in PROJECT:
        mine = owner(path)
        for name in imports(path):
            theirs = name.partition(".")[0]
            if theirs in LEVEL and theirs != mine and LEVEL[theirs] >= LEVEL[mine]:
                wrong.append(f"{path} imports {name}")
            if theirs == "tests" or Path(*name.split(".")).with_suffix(".py") in PROGRAMS:
                wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_the_engine_knows_no_diffusion() -> None:
    """guided_diffusion/engine trains any network."""
    engine = [path for path in PROJECT if path.parts[:2] == ("guided_diffusion", "engine")]
    others = {f"guided_diffusion.{path.stem}" for path in PROJECT if path.parts[:1] == ("guided_diffusion",)}
    others -= {"guided_diffusion.__init__"} | {f"guided_diffusion.{path.stem}" for path in engine}
    assert [f"{path} imports {name}" for path in engine for name in imports(path) if name in others] == []


def test_one_system_never_sees_another() -> None:
    """systems/X imports systems/Y for no two systems; the sync expert and the autoencoders are none."""
    folders = {path.parts[1] for path in PROJECT if owner(path) == "systems" and len(path.parts) > 2}
    serving = {"sync", "autoencoder"}
    wrong = []
    for path in PROJECT:
        if owner(path) != "systems" or len(path.parts) < 3:
            continue
        others = folders - {path.parts[1]} - serving
        wrong += [f"{path} imports {name}" for name in imports(path) if any(
            name == f"systems.{other}" or name.startswith(f"systems.{other}.") for other in others
        )]  # fmt: skip
    assert wrong == []


def test_nobody_names_a_system() -> None:
    """What is common to systems names none of them, nor does any program: the registry finds their folders.

    What measures the stages of a style model by themselves may.
    """
    systems = ("systems.diff2lip", "systems.syncdiff", "systems.style")
    may = {"evaluation/stage1.py", *(f"evaluation/commands/{name}.py" for name in ("lips", "render", "style"))}
    wrong = [
        f"{path} imports {name}"
        for path in PROJECT
        for name in imports(path)
        if name.startswith(systems) and owner(path) != "scripts"
        if not (owner(path) == "systems" and len(path.parts) > 2) and str(path) not in may
    ]
    assert wrong == []


def test_pyav_is_spoken_only_where_sound_and_pictures_live() -> None:
    wrong = [str(path) for path in PROJECT for name in imports(path) if name.partition(".")[0] == "av"]
    assert {Path(path).parts[0] for path in wrong} <= {"media", "audio", "video"}


def test_no_shell_no_bare_except_and_no_print_below_the_programs() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{path}:{node.lineno} catches everything")
            everything = isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and (
                node.type.id == "Exception"
            )  # fmt: skip
            if everything and path not in CATCHES_ALL:
                wrong.append(f"{path}:{node.lineno} catches every Exception")
            if isinstance(node, ast.keyword) and node.arg == "shell":
                wrong.append(f"{path}:{node.lineno} runs a shell")
            if isinstance(node, ast.Attribute) and node.attr == "system" and ast.unparse(node.value) == "os":
                wrong.append(f"{path}:{node.lineno} runs a shell")
            prints = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            if prints and LEVEL.get(owner(path), 0) < LEVEL["lipsync"]:
                wrong.append(f"{path}:{node.lineno} prints")
    assert wrong == []


def test_the_walks_lead_past_functions_that_are_there() -> None:
    """The file:function lists of docs/architecture.md; a name without a file belongs where the one before it does."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = text.partition("## Three walks")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d+\. `(\S+\.py):([\w.]+)`((?:, `\w+`)*)", walks, re.M)
    assert len(steps) > 20
    for path, name, more in steps:
        names = {node.name for node in ast.walk(tree(Path(path))) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert {*name.split("."), *re.findall(r"\w+", more)} <= names, f"{path}: {name}, {more}"


def test_no_file_is_a_giant() -> None:
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in files()}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_every_module_and_package_says_what_it_is_for() -> None:
    silent = [str(path) for path in SOURCES if not ast.get_docstring(tree(path))]
    assert silent == []


@pytest.mark.slow
def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in files() if owner(path) == "tests" and path.name.startswith("test_")]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("program", [p for p in ("generate.py", "generate_dist.py", "train.py") if (ROOT / p).exists()])
def test_help_answers_before_torch_loads(program: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{program!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({program!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "slow = sorted({'torch', 'librosa', 'cv2', 'mpi4py'} & set(sys.modules))\n"
        "assert not slow, f'--help imports {slow}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--output" in done.stdout
