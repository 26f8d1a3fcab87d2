# SPDX-License-Identifier: Apache-2.0
"""The self-test's steps run apart: what one of them does costs no other, and every end has its word."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from ssma_ros.cli.main import main
from ssma_ros.errors import NotInstalledError, SsmaError
from ssma_ros.inference.runtime.gpu import probe_gpu
from ssma_ros.kernels.cuda.driver import NoGpuError
from ssma_ros.selftest import steps
from ssma_ros.selftest.findings import Findings, Settings
from ssma_ros.selftest.page import document, exit_status, page, results_of, summary
from ssma_ros.selftest.run import Result, run_steps
from ssma_ros.selftest.steps import STEPS, Step, run_step

SETTINGS = Settings(64, 32, "models", 0.1, 2)


def has_gpu() -> bool:
    try:
        probe_gpu()
    except NoGpuError:
        return False
    return True


def act(argument, tell):
    """What the pretended steps do, by their names."""
    findings = Findings(tell)
    findings.fact("settings", argument["settings"]["width"])
    findings.figure("half way", 1.0, 2.0)
    name = argument["step"]
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang":
        time.sleep(600)
    if name == "exception":
        raise ValueError("wrong kind of value")
    if name == "missing":
        raise NotInstalledError("pycuda not installed. pycuda: pip install pycuda")
    if name == "none":
        raise NoGpuError("GPU: none here")
    findings.check("numbers", name != "different", "5 levels (allowed: 1)")
    return findings.document()


def run(names, minutes=10.0, limit_s=60.0):
    table = [Step(name, f"title of {name}", "", 3.0 if name == "hang" else limit_s) for name in names]
    return list(run_steps(table, SETTINGS, minutes, "test_run:act"))


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))


def test_a_crash_a_hang_and_an_exception_cost_only_their_step(pretended):
    results = run(["good", "crash", "hang", "exception", "different", "missing", "none", "good"])
    assert [(r.state, r.words) for r in results] == [
        ("passed", ""),
        ("failed", "crashed (SIGSEGV)"),
        ("failed", "took longer than 3 s and was ended"),
        ("failed", "ValueError: wrong kind of value"),
        ("failed", "numbers: 5 levels (allowed: 1)"),
        ("not installed", "pycuda not installed. pycuda: pip install pycuda"),
        ("no GPU", "GPU: none here"),
        ("passed", ""),
    ]
    for result in results:
        assert result.found["facts"] == {"settings": "64"}, "what was found before the end is kept"
        assert result.found["figures"] == [
            {"name": "half way", "median_ms": 1.0, "p95_ms": 2.0, "target_ms": None}
        ]
    assert exit_status(results) == 1
    assert summary(results) == "2 passed, 4 failed, 1 not installed, 1 no GPU"
    found = json.loads(json.dumps(document(results, "a note", "64x32")))
    assert results_of(found) == results
    text = page(found)
    assert "| crash | title of crash | failed |" in text
    assert "| half way |  | 1.000 | 2.000 |" in text
    assert "| different | numbers | **no** | 5 levels (allowed: 1) |" in text


def test_time_that_is_over_ends_the_step_and_the_rest_is_not_begun(pretended):
    results = run(["good", "sleep", "good"], minutes=0.001)
    assert [r.state for r in results] == ["no time"] * 3
    assert results[0].words == "the 0.001 minutes were over"
    assert exit_status(results) == 3


def test_the_exit_status():
    def of(*states):
        return exit_status([Result("step", "title", state) for state in states])

    assert of("passed", "not installed", "no time") == 0
    assert of("passed", "failed") == 1
    assert of("no GPU", "not installed") == 3


def test_steps_are_unique_and_their_functions_are_there():
    import importlib

    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    for step in STEPS:
        module, _, name = step.function.partition(":")
        assert callable(getattr(importlib.import_module(f"ssma_ros.selftest.{module}"), name))
        assert set(step.needs) <= set(steps.PACKAGES)
    from ssma_ros.inference.benchmark import GPU_CASES, NETWORKS

    measured = {
        (s.options["network"], s.options["backend"], s.options["precision"]) for s in STEPS if "network" in s.options
    }
    assert measured == {(network, *case[:2]) for network in NETWORKS for case in GPU_CASES}


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_without_a_gpu_every_step_says_so_and_the_status_is_3(tmp_path, capsys):
    results = tmp_path / "found.json"
    arguments = ["selftest", "--gpu", "--json", str(results), "--models", str(tmp_path / "models")]
    assert main([*arguments, "--markdown", str(tmp_path / "page.md"), "--note", "nothing else ran"]) == 3
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == f"{len(STEPS)} no GPU; results: {results}"
    assert told.count("GPU: no NVIDIA driver on this machine") == 1, "the reason is said once"
    found = results_of(json.loads(results.read_text()))
    assert [(r.step, r.state) for r in found] == [(step.name, "no GPU") for step in STEPS]
    assert "Python" in found[0].found["facts"], "the machine is described all the same"
    text = (tmp_path / "page.md").read_text()
    assert "* nothing else ran" in text
    assert "| encode_hha | 0.3 |  |  |" in text
    assert not (tmp_path / "models").exists()
    assert main(["selftest", "--page-of", str(results)]) == 0
    assert capsys.readouterr().out == text + "\n"


def test_missing_packages_are_named_with_the_way_to_get_them(monkeypatch):
    from inference.fake_gpu import FakeDriver

    from ssma_ros.inference.runtime import gpu

    monkeypatch.setattr(gpu, "load_driver", FakeDriver)
    monkeypatch.setattr(steps, "_there", lambda package: package not in ("tensorrt", "pycuda"))
    argument = {"step": "shipped-tensorrt-fp16", "settings": vars(SETTINGS)}
    with pytest.raises(NotInstalledError, match=r"tensorrt, pycuda not installed\. tensorrt: JetPack .* pip install"):
        run_step(argument, lambda document: None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "kernel"], "steps: got 'kernel', expected one of"),
        (["--minutes", "0"], "expected more than 0 minutes"),
        (["--rounds", "0"], "at least 1 round"),
        (["--json", "nowhere/found.json"], "folder nowhere does not exist"),
    ],
)
def test_bad_wishes_are_refused_before_anything_runs(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["selftest", "--gpu", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_the_page_of_the_documentation_is_made_from_its_results():
    docs = Path(__file__).parents[2] / "docs"
    assert (docs / "benchmarks_gpu.md").read_text() == page(json.loads((docs / "benchmarks_gpu.json").read_text()))


def test_results_that_are_none_are_refused(tmp_path):
    with pytest.raises(SsmaError, match="expected the JSON of 'ssma selftest --gpu'"):
        page({"note": "", "size": "1x1", "results": [{"stage": 1}]})
