"""Our end of the process that runs vLLM.

What comes from there, pickled: ``("ready", version, sees images)`` or ``("failed", kind, words)`` once; then
``("answer", number, [(text, finish reason, tokens)], prompt tokens, token ids or None)``,
``("refused", number, words)``, ``("stats", prompt tokens, those that the prefix cache had)``, and
``("dead", words)`` where vLLM has ended itself.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from lpt_core import ConfigError, EndpointError

WORKER = Path(__file__).with_name("worker.py")
_STOP_S = 20.0  # how long a process may take to end by itself
_LOG_LINES = 4
_LOG_BYTES = 20_000

Listener = Callable[[tuple[Any, ...]], None]
"""Gets what came of a request: ("answer", …), ("refused", …), or ("dead", words). Called in a thread."""


class Host:
    """A process that runs vLLM: started and ended here, and asked from any thread.

    Args:
        name: The model's, for messages.
        arguments: Of vLLM's engine.
        environment: What to add to the process's environment.
        python: Which Python runs it; None for ours.
        log: The file that what vLLM says is added to.
    """

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        python: str | None,
        log: Path,
    ) -> None:
        self.name = name
        self.log = log
        self.queries = self.hits = 0
        self._job = {"arguments": dict(arguments), "environment": dict(environment)}
        self._python = python or sys.executable
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._listeners: dict[int, Listener] = {}
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        self._number = 0
        self._outbox: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.dead: str | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None before it starts."""
        return None if self._process is None else self._process.pid

    # ---- beginning and end: these take long, and are called in threads ---------------------------------

    def start(self) -> str:
        """Start the process and load the model. Gives vLLM's version.

        Raises:
            ConfigError: vLLM does not know an option, or the Python does not exist.
            EndpointError: The model cannot be loaded.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            ours = self._launch(log)
        connection = self._connection = Connection(ours)
        try:
            connection.send(("load", self._job))
            answer = connection.recv()
        except (EOFError, OSError):
            self._end()
            raise EndpointError(
                f"vLLM ended while it loaded {self.name}: {self._last_words()}", f"its log is {self.log}"
            ) from None
        except BaseException:
            self._end()
            raise
        if answer[0] == "failed":
            self._end()
            said = " ".join(str(answer[2]).split())[:600]
            if answer[1] == "config":
                raise ConfigError(f"{self.name}: {said}.")
            raise EndpointError(f"vLLM cannot load {self.name}: {said}", f"its log is {self.log}")
        for work in (self._read, self._write):
            thread = threading.Thread(target=work, name=f"lpt-vllm{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return str(answer[1])

    def _launch(self, log: IO[bytes]) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [self._python, str(WORKER), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # so that Ctrl-C is ours to handle, and all of it can be ended
                )
            except OSError as error:
                ours.close()
                raise ConfigError(f"python: {self._python} cannot be started: {error.strerror}.") from error
        return ours.detach()

    def stop(self) -> None:
        """End the process, by force where it does not, and wait until nothing of it is left."""
        if self._process is None:
            return
        self._outbox.put(("stop",))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self._end()

    def interrupt(self) -> None:
        """End the process while it loads: ``start`` fails then."""
        process = self._process
        if process is not None:
            _end_group(process.pid)

    def _end(self) -> None:
        with self._ending:
            process, connection = self._process, self._connection
            if process is None:
                return
            _end_group(process.pid)
            process.wait()
            self._outbox.put(None)
            for thread in self._threads:
                thread.join()
            if connection is not None:
                connection.close()
            self._process = self._connection = None

    def _last_words(self) -> str:
        """The end of the log, or how the process ended."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
        telling = [line.strip() for line in lines if "Error" in line or "rror:" in line] or lines
        return " ".join(telling[-_LOG_LINES:])[-600:] or "it said nothing"

    # ---- asking ----------------------------------------------------------------------------------------

    def ask(self, asked: Mapping[str, Any], listener: Listener) -> int:
        """Ask for something; what comes of it goes to ``listener``, once. Gives the request's number."""
        with self._lock:
            self._number += 1
            number = self._number
            if self.dead is None:
                self._listeners[number] = listener
        if self.dead is None:
            self._outbox.put(("ask", {**asked, "number": number}))
        else:
            listener(("dead", self.dead))
        return number

    def abort(self, number: int) -> None:
        """Take a request back."""
        with self._lock:
            self._listeners.pop(number, None)
        self._outbox.put(("abort", number))

    def _write(self) -> None:
        connection = self._connection
        assert connection is not None
        while (message := self._outbox.get()) is not None:
            with contextlib.suppress(OSError):  # that it is dead is for the reader to say
                connection.send(message)

    def _read(self) -> None:
        connection = self._connection
        assert connection is not None
        said = ""
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                break
            if message[0] == "stats":
                self.queries, self.hits = message[1:]
            elif message[0] == "dead":
                said = str(message[1])
            else:
                with self._lock:
                    listener = self._listeners.pop(message[1], None)
                if listener is not None:
                    listener(message)
        self._died(said)

    def _died(self, said: str) -> None:
        with self._lock:
            self.dead = said or "its process ended"
            waiting, self._listeners = self._listeners, {}
        for listener in waiting.values():
            listener(("dead", self.dead))


def _end_group(group: int) -> None:
    """End every process of a group, and wait until none is left."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 30.0)):
        deadline = time.monotonic() + patience
        while living(group):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)


def living(group: int) -> list[int]:
    """The processes of a group that run. vLLM runs on Linux alone, and so there is /proc."""
    found: list[int] = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # After the name, which may hold spaces and brackets: state, parent, group.
                fields = Path(entry.path, "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found
