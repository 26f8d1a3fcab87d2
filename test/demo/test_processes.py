# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssma_ros.demo.processes import ProcessGroup
from ssma_ros.errors import SsmaError

SLEEPER = "import time, json; print(json.dumps({'event': 'up'}), flush=True); time.sleep(600)"


@pytest.fixture
def group(tmp_path):
    with ProcessGroup(os.environ, tmp_path) as group:
        yield group


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_gone(pid: int) -> bool:
    """Wait until the process has ended; False if it has not within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_events_arrive_with_their_data_and_stray_lines_are_passed_over(group):
    code = "print('hello'); print('3'); print('{\"event\": \"done\", \"count\": 4}')"
    child = group.start("counter", python(code))
    assert group.wait_for({child: "done"}, 20)["counter"]["count"] == 4


def test_other_events_are_shown(group):
    seen = []
    child = group.start("talker", python("print('{\"event\": \"a\"}'); print('{\"event\": \"b\"}')"))
    group.wait_for({child: "b"}, 20, lambda event: seen.append(event.name))
    assert seen == ["a"]


def test_orders_reach_a_child(group):
    child = group.start("echo", python("print('{\"event\": \"' + input() + '\"}')"))
    child.tell("parrot")
    group.wait_for({child: "parrot"}, 20)


def test_an_error_event_is_the_message(group):
    child = group.start("player", python("print('{\"event\": \"error\", \"message\": \"the tape is torn\"}')"))
    with pytest.raises(SsmaError, match=r"^the tape is torn$"):
        group.wait_for({child: "done"}, 20)


def test_an_early_end_is_told_with_the_last_words_of_the_log(group):
    child = group.start("node", python("import sys; print('no such model', file=sys.stderr); sys.exit(7)"))
    with pytest.raises(SsmaError, match="the node ended with status 7: no such model"):
        group.wait_for({child: "done"}, 20)


def test_of_a_log_that_ends_with_an_error_only_that_is_told(group):
    log = "[INFO] [17.5] [fusion]: loading model\n[ERROR] [17.6] [fusion]: cannot configure: no such model\n"
    child = group.start("node", python(f"import sys; sys.stderr.write({log!r}); sys.exit(1)"))
    with pytest.raises(SsmaError, match=r"^the node ended with status 1: cannot configure: no such model$"):
        group.wait_for({child: "done"}, 20)


def test_an_early_end_of_another_child_is_told_too(group):
    sleeper = group.start("sleeper", python(SLEEPER))
    group.start("node", python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), speaks_events=False)
    with pytest.raises(SsmaError, match="the node ended with signal SIGSEGV: it logged nothing"):
        group.wait_for({sleeper: "never"}, 20)


def test_silence_is_told(group):
    child = group.start("sleeper", python(SLEEPER))
    group.wait_for({child: "up"}, 20)
    with pytest.raises(SsmaError, match=r"nothing heard for 0 s while waiting on the sleeper for 'done'"):
        group.wait_for({child: "done"}, 0.1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SsmaError, None])
def test_children_never_outlive_the_group(tmp_path, error):
    group = ProcessGroup(os.environ, tmp_path)

    def work():
        with group:
            child = group.start("sleeper", python(SLEEPER))
            group.wait_for({child: "up"}, 20)
            if error is not None:
                raise error("enough")

    if error is None:
        work()
    else:
        with pytest.raises(error, match="enough"):
            work()
    assert [child.process.poll() is not None for child in group.children] == [True]


def test_a_deaf_child_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("ssma_ros.demo.processes.GRACE_S", 0.2)
    deaf = "import signal; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)];" + SLEEPER
    with ProcessGroup(os.environ, tmp_path) as group:
        child = group.start("deaf", python(deaf))
        group.wait_for({child: "up"}, 20)
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
def test_children_go_when_the_parent_is_killed(tmp_path):
    parent = subprocess.Popen(
        python(
            "import os, pathlib, sys; from ssma_ros.demo.processes import ProcessGroup\n"
            f"group = ProcessGroup(os.environ, pathlib.Path({str(tmp_path)!r}))\n"
            f"child = group.start('sleeper', [sys.executable, '-c', {SLEEPER!r}])\n"
            "group.wait_for({child: 'up'}, 20); print(child.process.pid, flush=True); group.wait_for({child: 'x'}, 600)"
        ),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert is_gone(pid)
