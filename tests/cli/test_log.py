"""The worker's logging, set up in processes of its own."""

from __future__ import annotations

SET_UP = """
import logging, sys
from tq_core import Celery, signals
from tq_core.log import get_task_logger, setup
app = Celery("proj", {settings})
{before}
setup(app, logging.INFO, {logfile!r})
{after}
"""


def run(tq, after: str, *, settings: str = "", before: str = "", logfile: str | None = None):
    done = tq.run_python(SET_UP.format(settings=settings, before=before, after=after, logfile=logfile))
    assert done.returncode == 0, done.stderr
    return done


def test_lines_have_the_form_celery_users_know(tq):
    done = run(tq, "logging.getLogger('any').info('hello')")
    assert done.stderr.endswith(": INFO/MainProcess] hello\n")
    assert done.stderr.startswith("[20")


def test_formats_follow_the_settings(tq):
    settings = "worker_log_format='%(levelname)s %(message)s', worker_task_log_format='%(task_name)s %(message)s'"
    done = run(tq, "logging.info('one'); get_task_logger('proj.tasks').info('two')", settings=settings)
    assert done.stderr == "INFO one\n??? two\n"


def test_a_task_logger_names_the_task_that_runs(tq):
    code = """
@app.task(name="proj.speak")
def speak():
    get_task_logger(__name__).info("hello")
speak()
"""
    done = run(tq, code, settings="worker_task_log_format='%(task_name)s[%(task_id)s] %(message)s'")
    assert done.stderr == "proj.speak[???] hello\n"


def test_loggers_below_a_task_logger_are_task_loggers(tq):
    code = "get_task_logger('proj.tasks'); logging.getLogger('proj.tasks.inner').info('hello')"
    assert run(tq, code, settings="worker_task_log_format='task %(message)s'").stderr == "task hello\n"


def test_prints_become_lines_at_the_level_of_the_setting(tq):
    code = "print('one', 2); print('three', end=''); print(' four', file=sys.stdout)"
    settings = "worker_log_format='%(levelname)s %(message)s', worker_redirect_stdouts_level='INFO'"
    assert run(tq, code, settings=settings).stderr == "INFO one 2\nINFO three four\n"


def test_prints_can_be_left_alone(tq):
    done = run(tq, "print('hello')", settings="worker_redirect_stdouts=False")
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_a_print_while_logging_does_not_log_for_ever(tq):
    code = """
class Printing(logging.Handler):
    def emit(self, record):
        print("printed by a handler")
logging.root.addHandler(Printing())
print("hello")
"""
    assert run(tq, code, settings="worker_log_format='%(message)s'").stderr == "hello\n"


def test_a_receiver_of_setup_logging_replaces_everything(tq):
    before = "signals.setup_logging.connect(lambda **named: print('mine'), weak=False)"
    done = run(tq, "logging.info('hello')", before=before, settings="worker_redirect_stdouts=False")
    assert (done.stdout, done.stderr) == ("mine\n", "")


def test_receivers_may_add_handlers_afterwards(tq):
    before = """
signals.after_setup_logger.connect(lambda logger, **named: logger.setLevel("ERROR"), weak=False)
signals.after_setup_task_logger.connect(lambda logger, **named: logger.setLevel("ERROR"), weak=False)
"""
    assert run(tq, "logging.info('a'); get_task_logger('b').info('c')", before=before).stderr == ""


def test_a_root_logger_that_must_not_be_hijacked_keeps_its_handlers(tq):
    before = "logging.basicConfig(format='mine %(message)s', level='INFO', stream=sys.__stderr__)"
    done = run(tq, "logging.info('hello')", before=before, settings="worker_hijack_root_logger=False")
    assert done.stderr == "mine hello\n"


def test_a_rotated_file_is_opened_again(tq):
    log = tq.directory / "worker.log"
    code = f"import os; logging.info('one'); os.rename({str(log)!r}, {str(log) + '.1'!r}); logging.info('two')"
    run(tq, code, logfile=str(log), settings="worker_log_format='%(message)s'")
    assert (tq.directory / "worker.log.1").read_text() == "one\n"
    assert log.read_text() == "two\n"


def test_warnings_are_logged(tq):
    done = run(
        tq, "import warnings; warnings.warn('mind the gap')", settings="worker_log_format='%(levelname)s %(message)s'"
    )
    assert done.stderr.startswith("WARNING ")
    assert "mind the gap" in done.stderr


def test_no_colours_reach_a_file_or_a_pipe(tq):
    assert "\x1b" not in run(tq, "logging.error('hello')").stderr


def test_colours_can_be_asked_for(tq):
    assert "\x1b[31m" in run(tq, "logging.error('hello')", settings="worker_log_color=True").stderr
