"""Tasks that misbehave in every way that has ever ended, stuck or silenced a worker."""

import atexit
import contextlib
import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

from project import app, note

from tq_core.errors import SoftTimeLimitExceeded

#: name -> (task, states it may end in, needs the hard limit, pools it is for)
TRICKS = {}
PROCESSES, EVERYWHERE = ("prefork",), ("prefork", "threads")


def trick(*states, pools=EVERYWHERE, limit=None, soft=None, late=False):
    def register(function):
        options = (
            {"acks_late": True, "reject_on_worker_lost": True, "acks_on_failure_or_timeout": False} if late else {}
        )
        task = app.task(name=f"mischief.{function.__name__}", **options)(function)
        TRICKS[function.__name__] = (task, states, pools, limit, soft)
        return task

    return register


FAILS, WORKS = ("FAILURE",), ("SUCCESS",)


@trick(*FAILS)
def sys_exit():
    sys.exit(3)


@trick(*FAILS)
def os_exit():
    os._exit(0)


@trick(*FAILS)
def os_exit_nonzero():
    os._exit(9)


@trick(*FAILS)
def abort():
    os.abort()


@trick(*FAILS)
def segfault():
    ctypes.string_at(0)


@trick(*FAILS)
def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


@trick(*WORKS, pools=PROCESSES)
def terminate_oneself():
    os.kill(os.getpid(), signal.SIGTERM)


@trick(*FAILS)
def endless_recursion():
    endless_recursion.run()


@trick(*FAILS, "SUCCESS")
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
@trick(*FAILS, "SUCCESS")
def deep_result():
    return _deep(5000)


@trick(*WORKS)
def close_standard_streams():
    sys.stdout.close()
    sys.stderr.close()


@trick(*WORKS)
def close_standard_descriptors():
    os.close(1)
    os.close(2)
    print("into the void")
    logging.getLogger("tq.task").error("into the void")


@trick(*FAILS, "SUCCESS", pools=PROCESSES)
def close_everything():
    os.closerange(3, 256)


@trick(*WORKS)
def change_to_a_removed_directory():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


@trick(*WORKS)
def fork_and_return():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid


@trick(*WORKS)
def fork_and_go_on():
    if not os.fork():
        time.sleep(1.0)


@trick(*WORKS)
def fork_and_raise():
    pid = os.fork()
    if not pid:
        raise ValueError("in the child")
    os.waitpid(pid, 0)


@trick(*WORKS)
def thread_without_end():
    threading.Thread(target=threading.Event().wait).start()


@trick(*FAILS)
def thread_that_exits_the_process():
    threading.Thread(target=os._exit, args=(4,)).start()
    time.sleep(30)


@trick(*FAILS)
def unserialisable_result():
    return object()


@trick(*FAILS)
def circular_result():
    circle = []
    circle.append(circle)
    return circle


@trick(*FAILS, "SUCCESS")
def enormous_integer():
    return 1 << 200_000


@trick(*FAILS, "SUCCESS")
def lone_surrogate():
    return "\ud800"


@trick(*FAILS)
def unpicklable_exception():
    raise ValueError(threading.Lock(), lambda: None)


class SilentError(Exception):
    def __repr__(self):
        raise RuntimeError("no representation")

    __str__ = __repr__


@trick(*FAILS)
def exception_without_text():
    raise SilentError(SilentError())


@trick(*FAILS, late=True)
def late_exception_without_text():
    raise SilentError(SilentError())


class Shameless(BaseException):
    def __repr__(self):
        sys.exit("from a representation")

    __str__ = __repr__


@trick(*FAILS)
def exception_whose_text_exits():
    raise Shameless(Shameless())


@trick(*FAILS, late=True)
def late_exception_whose_text_exits():
    raise Shameless


class Hostile:
    def __repr__(self):
        raise KeyboardInterrupt

    def __getattr__(self, name):
        raise SystemExit


@trick(*FAILS)
def hostile_result():
    return Hostile()


@trick(*FAILS)
def hostile_argument():
    raise ValueError(Hostile())


@trick(*FAILS)
def own_base_exception():
    class Own(BaseException):
        pass

    raise Own("mine")


@trick(*FAILS)
def keyboard_interrupt():
    raise KeyboardInterrupt


@trick(*FAILS)
def generator_exit():
    raise GeneratorExit


@trick(*WORKS)
def large_result():
    return "x" * (50 << 20)


@trick(*FAILS, pools=PROCESSES)
def out_of_memory():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return len(bytearray(8 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_AS)[1]))


@trick(*FAILS, soft=0.3, pools=PROCESSES)
def sleep_past_the_soft_limit():
    time.sleep(30)


@trick(*FAILS, soft=0.3)
def loop_past_the_soft_limit():
    while True:
        time.sleep(0.01)


@trick(*FAILS, soft=0.2, limit=0.8)
def swallow_the_soft_limit():
    while True:
        with contextlib.suppress(SoftTimeLimitExceeded):
            time.sleep(30)


@trick(*FAILS, limit=0.8)
def swallow_everything():
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:  # the point of this task
            pass


@trick(*FAILS, limit=0.8)
def sleep_in_c():
    ctypes.CDLL(None).sleep(30)


@trick(*FAILS, limit=0.8, pools=PROCESSES)
def hold_the_interpreter():
    ctypes.PyDLL(None).sleep(30)


@trick(*WORKS, pools=PROCESSES)
def change_signal_handlers():
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


@trick(*FAILS, soft=0.3, limit=5.0, pools=PROCESSES)
def soft_limit_after_changed_handlers():
    time.sleep(30)


@trick(*FAILS, pools=PROCESSES)
def alarm():
    signal.alarm(1)
    time.sleep(30)


@trick(*WORKS)
def print_much():
    for _ in range(200):
        print("x" * 10_000)


@trick(*WORKS)
def log_nonsense():
    logging.getLogger("tq.task").error("%d %s", "not a number")  # noqa: PLE1206 - the point of this task


@trick(*WORKS, pools=PROCESSES)
def pool_of_processes():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])


@trick(*WORKS, pools=PROCESSES)
def process_that_is_terminated():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()


@trick(*WORKS)
def program_left_behind():
    subprocess.Popen(["sleep", "2"])


@trick(*WORKS)
def exit_handler_that_hangs():
    atexit.register(time.sleep, 3600)


@trick(*WORKS)
def break_logging():
    logging.disable(logging.CRITICAL)
    logging.shutdown()


@trick(*WORKS)
def restore_logging():
    logging.disable(logging.NOTSET)


@trick(*WORKS)
def delete_own_arguments():
    delete_own_arguments.request.args = None
    delete_own_arguments.request.kwargs = object()


@trick(*FAILS)
def stop_iteration():
    raise StopIteration(1)


@trick(*WORKS)
def note_it():
    note("start", "note_it")
