"""The end of a process, in processes that are really ended."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap

import pytest

LONG = 120


def ended(code):
    """Runs code that ends its process; returns the exit code, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_the_end_does_what_waits_for_threads_and_what_was_registered_for_it():
    code = """
        import atexit, sys, threading
        from concurrent.futures import ThreadPoolExecutor
        from mlserver_core.engine import main_loop

        begun, go = threading.Event(), threading.Event()
        threads = ThreadPoolExecutor(1)
        threads.submit(lambda: (begun.set(), go.wait(), print("first job")))
        threads.submit(print, "second job")
        threading.Thread(target=lambda: (go.wait(), sys.stderr.write("thread"))).start()
        atexit.register(print, "at exit", end="")  # no line end: it is written to a pipe, late
        begun.wait()
        go.set()
        main_loop.end(3)
    """
    assert ended(code) == (3, ["first job", "second job", "at exit"], "thread")


def test_the_end_names_threads_that_never_return_and_does_not_wait_for_them():
    code = """
        import asyncio, threading
        from concurrent.futures import ThreadPoolExecutor
        from mlserver_core.engine import main_loop
        from mlserver_core.executors.thread_queue import ThreadQueue

        async def leave():
            ThreadQueue(1, "mlserver-model-m").submit(threading.Event().wait)

        asyncio.run(leave())
        ThreadPoolExecutor(1, "pool").submit(threading.Event().wait)
        threading.Thread(target=threading.Event().wait, name="mine").start()
        main_loop.end(0)
    """
    text = "Threads do not end: pool_0, mine; the process ends without them\n"
    assert ended(code) == (0, [], text)  # the log names a model's request by itself


def test_the_end_collects_no_garbage():
    code = """
        import threading
        from mlserver_core.engine import main_loop

        class Stuck:
            def __del__(self):
                threading.Event().wait()

        stuck = Stuck()
        main_loop.end(1)
    """
    assert ended(code) == (1, [], "")


PAGES = """
    import resource
    from mlserver_core.engine import main_loop

    main_loop.keep_freed_memory()

    def touched():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            tensors = [bytearray(2**22) for _ in range(8)]
            del tensors
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    touched()
    print(touched())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
@pytest.mark.parametrize(
    ("environ", "kept"),
    [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False), ({"GLIBC_TUNABLES": ""}, False)],
    ids=["by default", "the operator's variable", "the operator's tunables"],
)
def test_memory_for_large_tensors_is_kept_unless_the_operator_has_decided(
    monkeypatch, environ, kept
):
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    code, (pages,), _ = ended(PAGES)
    assert code == 0
    assert (int(pages) < 1024) is kept, pages  # one tensor has as many
