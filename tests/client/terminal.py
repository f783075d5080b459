"""A client in a terminal, driven through tmux as a person would."""

from __future__ import annotations

import os
import shlex
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import wait_until

WAIT_SECONDS = 30.0
HEARD_SECONDS = 2.0
WIDTH, HEIGHT = 160, 50
PROMPTS = ("\u276f", ">")
WORKING = "to interrupt"
MOST_CHOICES = 20
LOCAL_FLAGS = 3


class Terminal:
    """One window; the socket is its own, so that no other tmux is touched."""

    def __init__(self, socket: Path, wait_written: Callable[[str], None]) -> None:
        self._tmux = ["tmux", "-u", "-S", str(socket), "-f", "/dev/null"]
        self._wait_written = wait_written

    def run(self, *arguments: str, text: str | None = None) -> str:
        """What a command of tmux says."""
        return subprocess.run(
            [*self._tmux, *arguments],
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=WAIT_SECONDS,
        ).stdout

    def screen(self) -> str:
        """What a person would see now."""
        return self.run("capture-pane", "-p")

    def prompt(self) -> str:
        """The line that waits for input: the prompt, or the choice that is made in a menu."""
        lines = [line.strip() for line in self.screen().splitlines()]
        return next((line for line in reversed(lines) if line.startswith(PROMPTS)), "")

    def wait_for(self, words: str) -> None:
        """Until words are on the screen."""
        self._until(lambda: words in self.screen(), f"{words!r} there")

    def _until(self, condition: Callable[[], Any], what: str) -> None:
        try:
            wait_until(condition, what, WAIT_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{late}; the screen:\n{self.screen()}") from None

    def wait_prompt(self, words: str, *, gone: bool = False) -> None:
        """Until words are at the prompt, or no longer are."""
        self._until(lambda: self.prompt() and (words in self.prompt()) != gone, f"{words!r} typed")

    def wait_without(self, words: str) -> None:
        """Until words are no longer on the screen."""
        self._until(lambda: words not in self.screen(), f"{words!r} gone")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names for them."""
        self.run("send-keys", *keys)

    def choose(self, key: str, words: str) -> None:
        """Press a key until the choice that is made has these words."""
        presses = 0
        while words not in self.prompt():
            presses += 1
            assert presses <= MOST_CHOICES, f"no choice {words!r}; the screen:\n{self.screen()}"
            self._press_and_see(key)

    def _press_and_see(self, key: str) -> None:
        before = self.prompt()
        self.press(key)
        self._until(lambda: self.prompt() != before, f"another choice than {before!r}")

    def confirm(self, question: str) -> None:
        """Press Enter until a question is gone: one that has only just come may not hear it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while question in self.screen():
            assert time.monotonic() < deadline, f"{question!r} stays; the screen:\n{self.screen()}"
            self.press("Enter")
            with suppress(AssertionError):
                wait_until(lambda: question not in self.screen(), question, HEARD_SECONDS)

    def write(self, words: str) -> None:
        """Type words, and see them there."""
        self.run("send-keys", "-l", words)
        self.wait_for(words)

    def say(self, words: str) -> None:
        """Type a prompt, send it, and see it leave: quicker would be a paste."""
        self.write(words)
        self.press("Enter")
        self.wait_prompt(words, gone=True)

    def hear(self, words: str) -> None:
        """Until words are on the screen and on disk, and the client waits for the next prompt."""
        self.wait_for(words)
        self.wait_without(WORKING)
        self._wait_written(words)

    def paste(self, words: str) -> None:
        """Put in a text at once, as a terminal does it."""
        self.run("load-buffer", "-", text=words)
        self.run("paste-buffer", "-p")

    def wait_ready(self) -> None:
        """Until a prompt can be typed."""
        self._until(self._is_ready, "ready")

    def _is_ready(self) -> bool:
        """Whether there is a prompt, and the client reads keys and not the kernel lines."""
        tty = os.open(self.told("pane_tty"), os.O_RDONLY | os.O_NOCTTY)
        try:
            by_lines = termios.tcgetattr(tty)[LOCAL_FLAGS] & termios.ICANON
        finally:
            os.close(tty)
        return bool(self.prompt()) and not by_lines

    def told(self, variable: str) -> str:
        """A variable of tmux's."""
        return self.run("display-message", "-p", f"#{{{variable}}}").strip()


@contextmanager
def running(command: Sequence[str], wait_written: Callable[[str], None]) -> Iterator[Terminal]:
    """A command in a terminal, ready for input; at the end all of it is gone."""
    with TemporaryDirectory(prefix="tmux-") as folder:  # a socket's path must be short
        window = Terminal(Path(folder) / "socket", wait_written)
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        window.run("new-session", "-d", *size, "exec " + shlex.join(command))
        try:
            window.wait_ready()
            yield window
        finally:
            window.run("kill-server")
