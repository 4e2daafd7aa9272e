"""The demo's processes: named when they fail, and none left when it ends, however it ends."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from authority.demo.children import Children, DemoError, StopRequestedError

ROOT = Path(__file__).parents[3]


def python(text):
    return [sys.executable, "-c", textwrap.dedent(text)]


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_gone(*pids):
    for _ in range(1200):
        if not any(alive(pid) for pid in pids):
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError(f"still running: {[pid for pid in pids if alive(pid)]}")


SLEEP = "import time; time.sleep(600)"


def test_a_child_that_dies_is_named_with_the_end_of_its_log(tmp_path):
    with Children(tmp_path) as children:
        children.start("meter", python("print('line one'); print('the serial port is gone'); raise SystemExit(3)"))
        with pytest.raises(DemoError, match=r"meter ended \(status 3\)") as caught:
            children.wait_until("nothing", lambda: False, timeout=60)
    assert caught.value.code == "child_died"
    assert "the serial port is gone" in str(caught.value)


def test_a_child_that_a_signal_ends_is_named_with_the_signal(tmp_path):
    with Children(tmp_path) as children:
        child = children.start("validator", python(SLEEP))
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        with pytest.raises(DemoError, match=r"validator ended \(SIGKILL\)"):
            children.check()


def test_a_step_that_fails_and_one_that_takes_too_long(tmp_path):
    with Children(tmp_path) as children:
        children.run("good", python("pass"), timeout=60)
        with pytest.raises(DemoError, match=r"(?s)deploy failed with status 1.*no validator"):
            children.run("deploy", python("raise SystemExit('no validator')"), timeout=60)
        with pytest.raises(DemoError, match=r"slow took longer than 0\.2 s"):
            children.run("slow", python(SLEEP), timeout=0.2)
        children.check()


def test_waiting_has_an_end(tmp_path):
    with Children(tmp_path) as children, pytest.raises(DemoError, match=r"page: not within 0\.1 s") as caught:
        children.wait_until("page", lambda: False, timeout=0.1)
    assert caught.value.code == "not_ready"


def test_whoever_waits_heeds_the_wish_to_stop(tmp_path):
    asked = []
    with Children(tmp_path, stopping=lambda: bool(asked)) as children:
        child = children.start("child", python(SLEEP))
        children.check()
        asked.append(True)
        for waiting in (
            children.check,
            lambda: children.wait_until("nothing", lambda: False, timeout=60),
            lambda: children.finish(child, timeout=60),
        ):
            with pytest.raises(StopRequestedError):
                waiting()
    wait_gone(child.process.pid)


def test_all_are_stopped_grandchildren_and_stubborn_ones_too(tmp_path):
    spawning = """
        import subprocess, sys, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
        time.sleep(600)
    """
    children = Children(tmp_path)
    stubborn = children.start("stubborn", python(spawning))
    children.wait_until("its child", lambda: stubborn.log.read_text().endswith("\n"), timeout=60)
    grandchild = int(stubborn.log.read_text())
    children.stop(patience=0.2)
    wait_gone(stubborn.process.pid, grandchild)


def test_higher_ranks_stop_first(tmp_path):
    noting = """
        import signal, sys, time
        def stop(*_):
            open({path!r}, "a").write({name!r} + " ")
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        print("ready", flush=True)
        time.sleep(600)
    """
    order = tmp_path / "order"
    children = Children(tmp_path / "logs")
    started = [
        children.start(name, python(noting.format(path=str(order), name=name)), rank=rank)
        for name, rank in (("validator", 0), ("agent", 2), ("collector", 1))
    ]
    children.wait_until("ready", lambda: all("ready" in child.log.read_text() for child in started), timeout=60)
    children.stop()
    assert order.read_text().split() == ["agent", "collector", "validator"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the Linux kernel")
def test_children_do_not_outlive_a_demo_that_is_killed(tmp_path):
    demo = f"""
        import sys, time
        from pathlib import Path
        from authority.demo.children import Children
        children = Children(Path({str(tmp_path)!r}))
        child = children.start("child", [sys.executable, "-c", {SLEEP!r}])
        print(child.process.pid, flush=True)
        time.sleep(600)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(python(demo), stdout=subprocess.PIPE, text=True, env=environment) as process:
        pid = int(process.stdout.readline())
        process.kill()
    wait_gone(pid)
