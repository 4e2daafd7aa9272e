"""The pause key on real terminals: what is a press, and that the terminal is afterwards as it was."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from authority.demo.keys import Keys

ROOT = Path(__file__).parents[3]
LISTENER = """
import os, signal, sys
os.open(os.ttyname(0), os.O_RDWR)  # which makes it the terminal that controls this session
from authority.demo.keys import Keys
def stop(number, frame):
    raise SystemExit(3)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, stop)
with Keys() as keys:
    print("listens", flush=True)
    while True:
        if keys.asked(0.05):
            print("pressed", flush=True)
            if "crash" in sys.argv:
                raise RuntimeError("crashed")
"""


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    yield master, slave
    for descriptor in (master, slave):
        os.close(descriptor)


def modes(descriptor):
    return termios.tcgetattr(descriptor)


@pytest.mark.parametrize(("keys", "presses"), [(b"p", 1), (b"P", 1), (b" ", 1), (b"x\r\n", 0), (b"pp", 0), (b"xp", 1)])
def test_p_and_space_are_presses_and_two_of_them_none(terminal, keys, presses):
    master, slave = terminal
    with Keys(slave) as listening:
        assert listening.listens
        os.write(master, keys)
        assert listening.asked(0.2) == bool(presses)
        assert not listening.asked(0.01)


def test_the_terminal_is_as_it_was_afterwards(terminal):
    _, slave = terminal
    before = modes(slave)
    with Keys(slave):
        within = modes(slave)
        assert not within[3] & (termios.ICANON | termios.ECHO)
        assert within[3] & termios.ISIG
    assert modes(slave) == before
    with pytest.raises(RuntimeError, match="what happens"), Keys(slave):
        raise RuntimeError("what happens")
    assert modes(slave) == before


def test_without_a_terminal_nothing_is_read_or_changed():
    readable, writable = os.pipe()
    os.write(writable, b"p")
    with Keys(readable) as listening:
        assert not listening.listens
        assert not listening.asked(0.01)
    assert os.read(readable, 8) == b"p"
    for descriptor in (readable, writable):
        os.close(descriptor)
    with Keys(-1) as listening:
        assert not listening.asked(0.01)


def test_a_terminal_that_is_hung_up_is_listened_to_no_more():
    master, slave = os.openpty()
    with Keys(slave) as listening:
        os.close(master)
        assert not listening.asked(5)
        assert not listening.listens
    os.close(slave)


class Listener:
    """The pause key in a process whose terminal this is."""

    def __init__(self, *words):
        self.text = b""
        self.master, self.slave = os.openpty()
        self.before = modes(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", LISTENER, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def wait_for(self, pattern):
        while not re.search(pattern, self.text):
            readable, _, _ = select.select([self.master], [], [], 30)
            assert readable, self.text
            self.text += os.read(self.master, 1024)
        self.text = b""

    def press(self, key):
        os.write(self.master, key)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def listener(request):
    made = Listener(*getattr(request, "param", ()))
    yield made
    made.close()


@pytest.mark.parametrize("end", [b"\x03", b"\x1c", signal.SIGTERM])
def test_whoever_is_told_to_end_leaves_the_terminal_as_it_was(listener, end):
    listener.wait_for(rb"listens")
    assert modes(listener.slave) != listener.before
    listener.press(b"p")
    listener.wait_for(rb"pressed")
    if isinstance(end, bytes):
        listener.press(end)
    else:
        os.kill(listener.process.pid, end)
    assert listener.process.wait(60) == 3
    assert modes(listener.slave) == listener.before


@pytest.mark.parametrize("listener", [["crash"]], indirect=True)
def test_a_crash_leaves_the_terminal_as_it_was(listener):
    listener.wait_for(rb"listens")
    listener.press(b" ")
    listener.wait_for(rb"crashed")
    assert listener.process.wait(60) == 1
    assert modes(listener.slave) == listener.before


def test_a_suspended_process_gives_the_terminal_back_until_it_goes_on(listener):
    listener.wait_for(rb"listens")
    taken = modes(listener.slave)
    listener.press(b"\x1a")
    _, status = os.waitpid(listener.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert modes(listener.slave) == listener.before
    os.kill(listener.process.pid, signal.SIGCONT)
    while modes(listener.slave) != taken:
        assert listener.process.poll() is None
        time.sleep(0.01)
    listener.press(b"p")
    listener.wait_for(rb"pressed")
    os.kill(listener.process.pid, signal.SIGTERM)
    assert listener.process.wait(60) == 3
