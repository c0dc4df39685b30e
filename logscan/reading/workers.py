"""Worker processes: the one place that knows them. Each does one piece of work at a time; one that dies is replaced.

A thread a worker hands out the work and takes back what comes of it, so that no worker waits while this process is busy.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from logscan.reading.posting import receive, send

ATTEMPTS = 3
"""How often a piece of work is begun before it is given up: what kills a worker once may be another's hunger for memory."""


@dataclass(frozen=True)
class Lost:
    """What stands in the place of a result where the workers that were at it died."""

    why: str


class Crew(Protocol):
    """Those who work: give them work under a key, take what is done, in any order."""

    jobs: int

    def give(self, key: Any, *work: Any) -> None:
        """Take on a piece of work; it may be waiting until :meth:`take` is called."""

    def take(self) -> tuple[Any, Any]:
        """Return the key and the result of one piece of work that is done; raises what the work raised."""

    def ask(self, do: Callable[..., Any], *work: Any) -> Future[Any]:
        """Have other work done than what the crew is for, ``do(*work)`` (a module's function); the future has its result.

        Once the workers were ended it is done here and now.
        """

    def rest(self) -> None:
        """Wait until nothing is left to do."""

    def close(self) -> None:
        """End the workers now, whatever they are at."""


def crew(do: Callable[..., Any], jobs: int) -> Crew:
    """Return ``jobs`` workers that call ``do`` with what they are given; one works in this process itself."""
    return _Alone(do) if jobs == 1 else _Processes(do, jobs)


def cores() -> int:
    """Return how many processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class _Alone:
    """Works when asked for what is done: nothing is held that nobody asked for."""

    jobs = 1

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do
        self.waiting: deque[tuple[Any, tuple[Any, ...]]] = deque()

    def give(self, key: Any, *work: Any) -> None:
        self.waiting.append((key, work))

    def take(self) -> tuple[Any, Any]:
        key, work = self.waiting.popleft()
        return key, self.do(*work)

    def ask(self, do: Callable[..., Any], *work: Any) -> Future[Any]:
        asked: Future[Any] = Future()
        asked.set_result(do(*work))
        return asked

    def rest(self) -> None:
        """Nothing goes on here that nobody waits for."""

    def close(self) -> None:
        self.waiting.clear()


class _Done(Future[Any]):
    """Hands what is done to those who take it, whatever comes first."""

    def __init__(self, key: Any, done: queue.SimpleQueue[tuple[Any, Future[Any]]]) -> None:
        super().__init__()
        self.add_done_callback(lambda future: done.put((key, future)))


class _Processes:
    """Worker processes, each with a thread of this process that serves it."""

    def __init__(self, do: Callable[..., Any], jobs: int) -> None:
        self.do, self.jobs = do, jobs
        self.todo: queue.SimpleQueue[tuple[Future[Any], tuple[Any, ...]] | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[Any, Future[Any]]] = queue.SimpleQueue()
        self.asked: list[Future[Any]] = []
        self.closing = False
        # Forking is quick while this process is small and has one thread; elsewhere a fresh interpreter is the safe way.
        method = "fork" if threading.active_count() == 1 and hasattr(os, "fork") else "spawn"
        self.held, self.leash = multiprocessing.get_context(method).Pipe(duplex=False)
        self.workers = [_Worker(self, method) for _ in range(jobs)]
        self.threads = [threading.Thread(target=self._serve, args=(each,), daemon=True) for each in self.workers]
        for thread in self.threads:
            thread.start()

    def give(self, key: Any, *work: Any) -> None:
        self.todo.put((_Done(key, self.done), (self.do, *work)))

    def take(self) -> tuple[Any, Any]:
        key, future = self.done.get()
        return key, future.result()

    def ask(self, do: Callable[..., Any], *work: Any) -> Future[Any]:
        if self.closing:
            return _Alone(self.do).ask(do, *work)
        asked: Future[Any] = Future()
        self.asked = [each for each in self.asked if not each.done()] + [asked]
        self.todo.put((asked, (do, *work)))
        return asked

    def rest(self) -> None:
        wait(self.asked)

    def close(self) -> None:
        self.closing = True
        for _ in self.threads:
            self.todo.put(None)
        for worker in self.workers:
            worker.end()
        for thread in self.threads:
            thread.join()
        self.leash.close()
        self.held.close()

    def _serve(self, worker: _Worker) -> None:
        while (task := self.todo.get()) is not None and not self.closing:
            future, work = task
            try:
                future.set_result(self._served(worker, work))
            except BaseException as error:
                future.set_exception(error)
            del task, future, work  # both may be large, and the next one may be long in coming

    def _served(self, worker: _Worker, work: tuple[Any, ...]) -> Any:
        for _ in range(ATTEMPTS):
            try:
                ok, result = worker.ask(work)
            except (EOFError, OSError):
                if self.closing:
                    break
                worker.replace()
                continue
            if not ok:
                raise result
            return result
        return Lost("the workers that parsed them were ended from outside, perhaps for want of memory: try --jobs 1")


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, crew: _Processes, method: str) -> None:
        self.crew = crew
        self.lock = threading.Lock()
        self.ended = False
        self._start(method)

    def _start(self, method: str) -> None:
        context = multiprocessing.get_context(method)
        self.pipe, theirs = context.Pipe()
        forked = method == "fork"
        mine = self.pipe if forked else None
        leash = self.crew.leash if forked else None
        arguments = (theirs, mine, self.crew.held, leash)
        self.process: Any = context.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        theirs.close()

    def ask(self, work: tuple[Any, ...]) -> tuple[bool, Any]:
        """Have the process do it, a function with its arguments; raises EOFError or OSError where it died."""
        send(self.pipe, work)
        answer: tuple[bool, Any] = receive(self.pipe)
        return answer

    def replace(self) -> None:
        """Start another process in the place of the one that died."""
        with self.lock:
            self.pipe.close()
            self.process.join(1)
            if not self.ended:
                self._start("spawn")

    def end(self) -> None:
        """End the process, now and for good."""
        with self.lock:
            self.ended = True
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, mine: Connection | None, held: Connection, leash: Connection | None) -> None:
    """Do what comes through the pipe until it ends."""
    _leashed(held, leash)
    if mine is not None:
        mine.close()
    with contextlib.suppress(EOFError, OSError):
        while True:
            do, *work = receive(pipe)
            try:
                answer = (True, do(*work))
            except BaseException as error:
                answer = (False, error)
            try:
                send(pipe, answer)
            except (TypeError, AttributeError, ValueError):  # an error that can't be pickled
                send(pipe, (False, RuntimeError(repr(answer[1]))))


def _leashed(held: Connection, leash: Connection | None) -> None:
    """Let a worker end when the process that started it does, however that ends: then the pipe between them closes."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is in charge decides
    if leash is not None:
        leash.close()

    def watch() -> None:
        with contextlib.suppress(OSError, EOFError):
            held.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
