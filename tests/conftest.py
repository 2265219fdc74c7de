"""For all tests: what lacks a face detector here is skipped, and what the quick ones cost is held to a budget.

The cost is CPU time of the tests that are not marked slow, printed at the end.
"""

import json
import os
import random
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BUDGET, LIMIT = 60, 120  # seconds of CPU time, children's too: what is meant, and what fails
SHARED = "fixtures of the session"  # what ends with them, such as a server, is no cost of the test that came last
LONGEST = (
    "web/test_web_page", "lipsync/test_many_processes", "test_training_scripts", "test_readme", "web/test_server",
    "systems/test_paper_sizes", "web/test_survival", "lipsync/test_style", "web/test_web_stream", "fuzz/test_fuzz",
    "lipsync/test_streaming", "lipsync/test_pipeline", "lipsync/test_benchmark_processes", "lipsync/test_cli",
    "web/test_speech", "test_scripts", "guided_diffusion/test_distributed", "systems/test_objective",
    "lipsync/test_side_by_side", "systems/test_distilling", "systems/test_syncdiff_training", "test_model_costs",
    "lipsync/test_in_flight", "dataset/test_corpus", "systems/test_training", "test_train_shipped",
    "test_benchmark_presets", "test_inference_scripts", "test_finetune",
)  # fmt: skip
"""Files of 10 s and more: begun first, so that no core works alone at the end (where several run tests)."""
_last = 0.0
_was_last = False
_spent: dict[str, float] = {}  # on the controller: seconds by test, of those that are not slow
_all: dict[str, float] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", type=Path, metavar="FILE", help="write the seconds of CPU time of each test, as JSON")


def _cpu() -> float:
    """Seconds of this process, of those of its children that have ended, and of those that were forked for it."""
    times, forked = os.times(), sys.modules.get("tests.helpers.forked")
    apart = 0.0 if forked is None else forked.cpu_seconds
    return times.user + times.system + times.children_user + times.children_system + apart


def pytest_runtest_logstart(nodeid: str, location: object) -> None:
    global _last
    _last = _cpu()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {f"tests/{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.nodeid.partition("::")[0], len(first)))


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    global _was_last
    _was_last = nextitem is None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    global _last
    outcome = yield
    now = _cpu()
    report = outcome.get_result()  # travels to the controller where several processes run tests
    report.cpu, report.shared = now - _last, call.when == "teardown" and _was_last
    _last = now


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    cost = getattr(report, "cpu", 0.0)
    if getattr(report, "shared", False):
        _all[SHARED] = _all.get(SHARED, 0.0) + cost
        return
    _all[report.nodeid] = _all.get(report.nodeid, 0.0) + cost
    if "slow" not in report.keywords:
        _spent[report.nodeid] = _spent.get(report.nodeid, 0.0) + cost


def pytest_terminal_summary(terminalreporter: Any) -> None:
    total = sum(_spent.values())
    terminalreporter.write_line(f"tests not marked slow: {total:.0f} s of CPU time (budget {BUDGET}, limit {LIMIT})")
    if total > BUDGET:
        for name in sorted(_spent, key=_spent.__getitem__)[: -11 : -1]:
            terminalreporter.write_line(f"{_spent[name]:8.2f} s  {name}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (path := session.config.getoption("costs")) and not hasattr(session.config, "workerinput"):
        path.write_text(json.dumps(_all, indent=1))
    if sum(_spent.values()) > LIMIT and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def own_randomness() -> Iterator[None]:
    """No test depends on what another drew: numpy's and Python's global generators are for none of them, and torch's,
    from which fresh networks draw their weights, goes on after each as if nothing had been drawn.
    """
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state()[1:3]  # noqa: NPY002
    with nullcontext() if torch is None else torch.random.fork_rng(devices=[]):
        yield
    drawn, place = np.random.get_state()[1:3]  # noqa: NPY002
    assert random.getstate() == before[0], "this test drew from, or seeded, Python's global generator"
    assert place == before[1][1] and np.array_equal(drawn, before[1][0]), "this test drew from numpy's global generator"


@pytest.fixture(autouse=True)
def without_cascades(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV 5 has no cascades, and nothing else that finds faces ships: a test that comes to need them is skipped."""
    import cv2

    if hasattr(cv2, "CascadeClassifier"):
        return
    from face_detection import haar

    monkeypatch.setattr(haar.Cascade, "load", lambda _: pytest.skip("this OpenCV has no cascades"))


@pytest.fixture
def narrow_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sound encoder with fewer channels at its first levels, where half the time of a tiny training step goes."""
    monkeypatch.setattr("systems.sound.WIDTHS", (32, 32, 32, 128))
