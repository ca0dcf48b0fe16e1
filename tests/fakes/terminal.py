"""A program on a terminal: a real pseudo-terminal, and a screen that shows what a person would see on it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyte

from tests.fakes.waiting import wait_for


class Terminal:
    """`raw` is all that the program wrote; `lines` what stands on the screen and has scrolled out of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int, columns: int, rows: int) -> None:
        self.process = process
        self.raw = b""
        self._master = master
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        self._read()
        gone = ["".join(row[column].data for column in range(self._screen.columns)) for row in self._screen.history.top]
        return [line.rstrip() for line in [*gone, *self._screen.display]]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip()

    @property
    def shows_cursor(self) -> bool:
        self._read()
        return not self._screen.cursor.hidden

    def style_of(self, words: str) -> Any:
        """How the first letter of the words is drawn: `fg`, `bold`, …"""
        self._read()
        row = next(index for index, line in enumerate(self._screen.display) if words in line)
        return self._screen.buffer[row][self._screen.display[row].index(words)]

    def wait_for(self, condition: str | Callable[[str], bool]) -> str:
        """The screen's text once it has these words, or fulfils the condition."""

        def seen() -> str:
            text = self.text
            return text if (condition in text if isinstance(condition, str) else condition(text)) else ""

        return str(wait_for(seen, f"{condition!r} on the screen, which shows\n{self.text}", 60))

    def type_interrupt(self) -> None:
        """Ctrl-C, as the terminal's driver sees it."""
        os.write(self._master, b"\x03")

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def end(self) -> int:
        """The exit code, once everything that was written is on the screen."""
        wait_for(lambda: self._read() or self.process.poll() is not None, "the program's end", 60)
        self._read()
        return int(self.process.returncode)

    def _read(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # the program has closed its side
                return
            if not chunk:
                return
            self.raw += chunk
            self._stream.feed(chunk)


@contextmanager
def on_terminal(
    command: Sequence[str], environment: Mapping[str, str], columns: int = 100, rows: int = 40
) -> Iterator[Terminal]:
    """Run a program with the terminal as its controlling one, so that Ctrl-C reaches it; it is ended at the end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *command], env=dict(environment), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    try:
        yield Terminal(process, master, columns, rows)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)
