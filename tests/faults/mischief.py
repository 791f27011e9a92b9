"""Tasks that misbehave in every way that has ever ended, stuck or silenced a worker."""

import atexit
import builtins
import contextlib
import ctypes
import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

from project import app

from tq_core.errors import SoftTimeLimitExceeded

PROCESSES, EVERYWHERE = ("prefork",), ("prefork", "threads", "aio")


@dataclass(frozen=True)
class Trick:
    """One way to misbehave.

    Attributes:
        does: what the task does, to complete the sentence "a task that …".
        task: the task.
        states: in which it may end.
        pools: that promise to survive it.
        limit, soft: hard and soft limit in seconds it is sent with, or None.
        replaced: pools whose process that ran it is replaced; None where that differs between systems.
    """

    does: str
    task: Any
    states: tuple[str, ...]
    pools: tuple[str, ...]
    limit: float | None
    soft: float | None
    replaced: tuple[str, ...] | None


#: By the name of the task.
TRICKS: dict[str, Trick] = {}


def trick(does, *states, pools=EVERYWHERE, limit=None, soft=None, late=False, replaced=()):
    def register(function):
        options = (
            {"acks_late": True, "reject_on_worker_lost": True, "acks_on_failure_or_timeout": False} if late else {}
        )
        task = app.task(name=f"mischief.{function.__name__}", **options)(function)
        TRICKS[function.__name__] = Trick(does, task, states, pools, limit, soft, replaced)
        return task

    return register


FAILS, WORKS = ("FAILURE",), ("SUCCESS",)


@trick("calls `sys.exit(3)`", *FAILS)
def sys_exit():
    sys.exit(3)


@trick("ends its process by `os._exit(0)`", *FAILS, replaced=EVERYWHERE)
def os_exit():
    os._exit(0)


@trick("ends its process by `os._exit(9)`", *FAILS, replaced=EVERYWHERE)
def os_exit_nonzero():
    os._exit(9)


@trick("calls `os.abort()`", *FAILS, replaced=EVERYWHERE)
def abort():
    os.abort()


@trick("reads address 0", *FAILS, replaced=EVERYWHERE)
def segfault():
    ctypes.string_at(0)


@trick("sends SIGKILL to its own process", *FAILS, replaced=EVERYWHERE)
def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


@trick("sends SIGTERM to its own process", *WORKS, pools=PROCESSES)
def terminate_oneself():
    os.kill(os.getpid(), signal.SIGTERM)


@trick("calls itself without end", *FAILS)
def endless_recursion():
    endless_recursion.run()


@trick("lifts the recursion limit and recurses on the C stack", *FAILS, "SUCCESS", replaced=None)
def crash_recursion():
    sys.setrecursionlimit(1 << 30)
    try:
        return repr(_deep(200_000))[:10]
    finally:
        sys.setrecursionlimit(1000)


def _deep(levels):
    nested = []
    for _ in range(levels):
        nested = [nested]
    return nested


# How deep JSON may be written differs between versions of Python.
@trick("returns lists inside each other, 5,000 deep", *FAILS, "SUCCESS")
def deep_result():
    return _deep(5000)


@trick("closes `sys.stdout` and `sys.stderr`", *WORKS)
def close_standard_streams():
    sys.stdout.close()
    sys.stderr.close()


@trick("closes descriptors 1 and 2, then prints and logs", *WORKS)
def close_standard_descriptors():
    os.close(1)
    os.close(2)
    print("into the void")
    logging.getLogger("tq.task").error("into the void")


@trick("closes every descriptor of its process, the broker's too", *FAILS, replaced=EVERYWHERE)
def close_everything():
    os.closerange(3, 256)


@trick("changes to a directory that it then removes", *WORKS)
def change_to_a_removed_directory():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


@trick("forks; parent and child both return", *WORKS)
def fork_and_return():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid


@trick("forks; the child outlives the task", *WORKS)
def fork_and_go_on():
    if not os.fork():
        time.sleep(1.0)


@trick("forks; the child raises", *WORKS)
def fork_and_raise():
    pid = os.fork()
    if not pid:
        raise ValueError("in the child")
    os.waitpid(pid, 0)


@trick("starts a thread that never ends", *WORKS)
def thread_without_end():
    threading.Thread(target=threading.Event().wait).start()


@trick("starts a thread that calls `os._exit(4)`", *FAILS, replaced=EVERYWHERE)
def thread_that_exits_the_process():
    threading.Thread(target=os._exit, args=(4,)).start()
    time.sleep(30)


@trick("returns an object no serializer takes", *FAILS)
def unserialisable_result():
    return object()


@trick("returns a list that contains itself", *FAILS)
def circular_result():
    circle = []
    circle.append(circle)
    return circle


@trick("returns an integer of 200,000 bits", *FAILS, "SUCCESS")
def enormous_integer():
    return 1 << 200_000


@trick("returns half of a surrogate pair", *FAILS, "SUCCESS")
def lone_surrogate():
    return "\ud800"


@trick("raises an exception that holds a lock and a lambda", *FAILS)
def unpicklable_exception():
    raise ValueError(threading.Lock(), lambda: None)


class SilentError(Exception):
    def __repr__(self):
        raise RuntimeError("no representation")

    __str__ = __repr__


@trick("raises an exception whose `repr` raises", *FAILS)
def exception_without_text():
    raise SilentError(SilentError())


@trick("raises an exception whose `repr` raises, acknowledged late and to be buried", *FAILS, late=True)
def late_exception_without_text():
    raise SilentError(SilentError())


class Shameless(BaseException):
    def __repr__(self):
        sys.exit("from a representation")

    __str__ = __repr__


@trick("raises an exception whose `repr` calls `sys.exit`", *FAILS)
def exception_whose_text_exits():
    raise Shameless(Shameless())


@trick("raises an exception whose `repr` calls `sys.exit`, acknowledged late and to be buried", *FAILS, late=True)
def late_exception_whose_text_exits():
    raise Shameless


class Hostile:
    def __repr__(self):
        raise KeyboardInterrupt

    def __getattr__(self, name):
        raise SystemExit


@trick("returns an object whose attributes and `repr` raise SystemExit and KeyboardInterrupt", *FAILS)
def hostile_result():
    return Hostile()


@trick("raises an exception holding such an object", *FAILS)
def hostile_argument():
    raise ValueError(Hostile())


@trick("raises a `BaseException` of its own", *FAILS)
def own_base_exception():
    class Own(BaseException):
        pass

    raise Own("mine")


@trick("raises `KeyboardInterrupt`", *FAILS)
def keyboard_interrupt():
    raise KeyboardInterrupt


@trick("raises `GeneratorExit`", *FAILS)
def generator_exit():
    raise GeneratorExit


@trick("returns 50 MiB", *WORKS)
def large_result():
    return "x" * (50 << 20)


@trick("allocates more than it may have", *FAILS, pools=PROCESSES)
def out_of_memory():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return len(bytearray(8 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_AS)[1]))


@trick("sleeps past its soft limit", *FAILS, soft=0.3, pools=PROCESSES)
def sleep_past_the_soft_limit():
    time.sleep(30)


@trick("loops past its soft limit", *FAILS, soft=0.3)
def loop_past_the_soft_limit():
    while True:
        time.sleep(0.01)


@trick(
    "swallows `SoftTimeLimitExceeded` and sleeps on, past its hard limit",
    *FAILS,
    soft=0.2,
    limit=0.5,
    replaced=PROCESSES,
)
def swallow_the_soft_limit():
    while True:
        with contextlib.suppress(SoftTimeLimitExceeded):
            time.sleep(30)


@trick("swallows every exception, SystemExit too, past its hard limit", *FAILS, limit=0.5, replaced=PROCESSES)
def swallow_everything():
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:  # the point of this task
            pass


@trick("sits in a C call past its hard limit", *FAILS, limit=0.5, replaced=PROCESSES)
def sleep_in_c():
    ctypes.CDLL(None).sleep(30)


@trick(
    "holds the interpreter's lock in a C call past its hard limit",
    *FAILS,
    limit=0.5,
    pools=PROCESSES,
    replaced=PROCESSES,
)
def hold_the_interpreter():
    ctypes.PyDLL(None).sleep(30)


@trick("ignores the signals the worker uses", *WORKS, pools=PROCESSES)
def change_signal_handlers():
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


@trick("runs into its soft limit after another has changed the signals", *FAILS, soft=0.3, limit=5.0, pools=PROCESSES)
def soft_limit_after_changed_handlers():
    time.sleep(30)


@trick("lets `signal.alarm` go off", *FAILS, pools=PROCESSES, replaced=PROCESSES)
def alarm():
    signal.alarm(1)
    time.sleep(30)


@trick("prints two megabytes", *WORKS)
def print_much():
    for _ in range(200):
        print("x" * 10_000)


@trick("logs with arguments that do not fit the format", *WORKS)
def log_nonsense():
    logging.getLogger("tq.task").error("%d %s", "not a number")  # noqa: PLE1206 - the point of this task


@trick("runs a `multiprocessing.Pool`", *WORKS, pools=PROCESSES)
def pool_of_processes():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])


@trick("starts a process and terminates it", *WORKS, pools=PROCESSES)
def process_that_is_terminated():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()


@trick("leaves a program running", *WORKS)
def program_left_behind():
    subprocess.Popen(["sleep", "2"])


@trick("registers an exit handler that never returns", *WORKS)
def exit_handler_that_hangs():
    atexit.register(time.sleep, 3600)


@trick("disables logging and shuts it down", *WORKS)
def break_logging():
    logging.disable(logging.CRITICAL)
    logging.shutdown()


@trick("enables logging again", *WORKS)
def restore_logging():
    logging.disable(logging.NOTSET)


@trick("destroys its own request", *WORKS)
def delete_own_arguments():
    delete_own_arguments.request.args = None
    delete_own_arguments.request.kwargs = object()


@trick("raises `StopIteration`", *FAILS)
def stop_iteration():
    raise StopIteration(1)


@trick("calls `sys.exit` and swallows the SystemExit", *WORKS)
def swallow_the_exit():
    for _ in range(3):
        try:
            sys.exit(1)
        except SystemExit:
            continue
    return "still here"


@trick("waits for a lock it holds itself, past its hard limit", *FAILS, limit=0.5, replaced=PROCESSES)
def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@trick("opens files until its process may open no more", *FAILS)
def exhaust_descriptors():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limit[1]))
    opened = []
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for handle in opened:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@trick("clears the environment and forbids everything to new files", *WORKS)
def clear_the_environment():
    os.environ.clear()
    os.umask(0o777)


@trick("gives every new socket a time-out of a millisecond", *WORKS)
def impatient_sockets():
    socket.setdefaulttimeout(0.001)


@trick("blocks every signal", *WORKS, pools=PROCESSES)
def block_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@trick("runs into its soft limit after another has blocked the signals", *FAILS, soft=0.3, limit=5.0, pools=PROCESSES)
def soft_limit_after_blocked_signals():
    time.sleep(30)


@trick("raises in a finalizer and in a thread", *WORKS)
def raise_where_nobody_catches():
    class Finalized:
        def __del__(self):
            raise ValueError("in a finalizer")

    Finalized()
    threading.Thread(target=lambda: 1 / 0).start()


# Not beside threads given up at their limits: CPython 3.11 traces in a circle while one of them sits in C.
@trick("traces every line and switches the garbage collector off", *WORKS, pools=PROCESSES)
def trace_everything():
    gc.disable()
    sys.settrace(lambda *event: None)


@trick("replaces `print` and `open`", *WORKS)
def replace_builtins():
    builtins.print = builtins.open = None


# What a task does to the whole process stays done; the tricks after these want a usable one.
@trick("puts back what those before it replaced", *WORKS)
def restore_the_process():
    builtins.print, builtins.open = print_as_it_was, open_as_it_was
    sys.settrace(None)
    gc.enable()
    socket.setdefaulttimeout(None)
    os.umask(0o022)


print_as_it_was, open_as_it_was = print, open
