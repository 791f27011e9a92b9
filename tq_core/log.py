"""The worker's logging: Celery's formats, files that survive rotation, prints that end up in the log.

One call of :func:`setup` in the process that starts the runners; forked runners inherit it, spawned ones call it
themselves. Loggers of the worker are named ``tq.…``; those of tasks hang below ``tq.task``, whose lines carry the
task's name and id.
"""

from __future__ import annotations

import logging
import sys
import threading
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING, Any, TextIO

from tq_core import current, signals

if TYPE_CHECKING:
    from tq_core.app import Celery

    _StreamHandler = logging.StreamHandler[TextIO]
else:
    # Before Python 3.11 the class takes no parameter at run time.
    _StreamHandler = logging.StreamHandler

#: Parent of every task's logger.
TASK_LOGGER = "tq.task"
#: Where prints go.
REDIRECTED_LOGGER = "tq.redirected"

_COLORS = {"DEBUG": "34", "WARNING": "33", "ERROR": "31", "CRITICAL": "35"}


def level_number(level: str | int | None) -> int:
    """Return the number of a log level given as a name in any case, or as a number.

    Raises:
        ValueError: there is no such level.
    """
    if level is None:
        return logging.WARNING
    text = str(level).strip().upper()
    if text.isdigit():
        return int(text)
    number = logging.getLevelName("CRITICAL" if text == "FATAL" else text)
    if not isinstance(number, int):
        raise ValueError(f"{level!r} is no log level; choose DEBUG, INFO, WARNING, ERROR, CRITICAL or a number")
    return number


def get_task_logger(name: str) -> logging.Logger:
    """Return a logger for use in tasks: its lines carry the name and id of the task that runs.

    Args:
        name: usually ``__name__``; the logger keeps it.
    """
    logger = logging.getLogger(name)
    task_logger = logging.getLogger(TASK_LOGGER)
    if logger is task_logger or logger is logging.root:
        return task_logger
    ancestor: logging.Logger | None = logger
    while ancestor is not None and ancestor is not logging.root:
        if ancestor is task_logger:
            return logger
        top, ancestor = ancestor, ancestor.parent
    # The whole branch moves, so that a module's logger and its package's stay parent and child.
    top.parent = task_logger
    return logger


def setup(
    app: Celery,
    loglevel: int | None = None,
    logfile: str | None = None,
    *,
    redirect: bool = True,
    colorize: bool | None = None,
) -> None:
    """Set this process's logging up as the settings say.

    Args:
        app: whose ``worker_log_…`` and ``worker_redirect_…`` settings are followed.
        loglevel: of the root logger and the tasks'; WARNING when None.
        logfile: path; standard error when None.
        redirect: allow ``worker_redirect_stdouts``.
        colorize: None for "on a terminal, unless ``worker_log_color`` says otherwise".

    Raises:
        OSError: the log file cannot be opened.
    """
    conf = app.conf
    level = logging.WARNING if loglevel is None else loglevel
    if colorize is None:
        colorize = conf.worker_log_color
    if colorize is None:
        colorize = logfile is None and sys.__stderr__ is not None and sys.__stderr__.isatty()
    told = {"loglevel": level, "logfile": logfile, "colorize": colorize}
    logging.captureWarnings(True)
    if not signals.setup_logging.send_strictly(None, format=conf.worker_log_format, **told):
        root, tasks = logging.root, logging.getLogger(TASK_LOGGER)
        if conf.worker_hijack_root_logger:
            _remove_handlers(root)
        _remove_handlers(tasks)
        plain = _Formatter(conf.worker_log_format, conf.worker_log_datefmt, bool(colorize))
        of_tasks = TaskFormatter(conf.worker_task_log_format, conf.worker_task_log_datefmt, bool(colorize))
        if not root.handlers:
            root.addHandler(_handler(logfile, plain))
            root.setLevel(level)
        tasks.addHandler(_handler(logfile, of_tasks))
        tasks.setLevel(level)
        tasks.propagate = False
        signals.after_setup_logger.send(None, logger=root, format=conf.worker_log_format, **told)
        signals.after_setup_task_logger.send(None, logger=tasks, format=conf.worker_task_log_format, **told)
    if redirect and conf.worker_redirect_stdouts:
        redirect_stdouts(level_number(conf.worker_redirect_stdouts_level))


def redirect_stdouts(level: int) -> None:
    """Send what this process prints to the log from now on."""
    logger = logging.getLogger(REDIRECTED_LOGGER)
    sys.stdout = Prints(logger, level, sys.__stdout__)
    sys.stderr = Prints(logger, level, sys.__stderr__)


def restore_stdouts() -> None:
    """Let this process print to its terminal again."""
    if isinstance(sys.stdout, Prints):
        sys.stdout = sys.__stdout__
    if isinstance(sys.stderr, Prints):
        sys.stderr = sys.__stderr__


class _Formatter(logging.Formatter):
    """Colours the message by its level, where that is wanted."""

    def __init__(self, format: str, datefmt: str | None, colorize: bool) -> None:
        super().__init__(format, datefmt)
        self._colorize = colorize

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        color = _COLORS.get(record.levelname) if self._colorize else None
        return f"\x1b[{color}m{text}\x1b[0m" if color else text


class TaskFormatter(_Formatter):
    """Adds ``task_name`` and ``task_id`` of the task that this thread or coroutine runs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, ``???`` standing for a task where none runs."""
        request = current.running.get()
        name = request.task if request is not None else None
        task_id = request.id if request is not None else None
        record.__dict__.setdefault("task_name", name or "???")
        record.__dict__.setdefault("task_id", task_id or "???")
        return super().format(record)


def _handler(logfile: str | None, formatter: logging.Formatter) -> logging.Handler:
    handler = _FileHandler(logfile) if logfile else _TerminalHandler(sys.__stderr__)
    handler.setFormatter(formatter)
    return handler


def _remove_handlers(logger: logging.Logger) -> None:
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()


class _TerminalHandler(_StreamHandler):
    """Writes to standard error; when that is gone there is nobody left to tell."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            _report_bad_record(record)


class _FileHandler(WatchedFileHandler):
    """Writes to a file that may be rotated; a full disk sends lines to standard error and stops nobody."""

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8")
        self._failing = False
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        self._failed = False
        super().emit(record)
        if self._failing and not self._failed:
            self._failing = False
            _say(f"The log file {self.baseFilename} can be written again")

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            _report_bad_record(record)
            return
        self._failed = True
        if not self._failing:
            self._failing = True
            _say(f"The log file {self.baseFilename} cannot be written: {error.strerror or error}")
        _say(self.format(record))


def _report_bad_record(record: logging.LogRecord) -> None:
    """Say where a log call is wrong, in one line: its traceback would bury the log."""
    error = sys.exc_info()[1]
    _say(f"A log call at {record.pathname}:{record.lineno} is wrong: {type(error).__name__}: {error}")


def _say(text: str) -> None:
    try:
        if sys.__stderr__ is not None:
            sys.__stderr__.write(text + "\n")
            sys.__stderr__.flush()
    except (OSError, ValueError):
        pass  # standard error is gone as well


class Prints:
    """Stands in for a standard stream and turns what is printed into log lines.

    Safe to use from any thread: each collects its own unfinished line.

    Args:
        logger: gets the lines.
        level: of the lines.
        stream: the stream it stands in for; lends its file descriptor and encoding.
    """

    def __init__(self, logger: logging.Logger, level: int, stream: TextIO | None) -> None:
        self._logger = logger
        self._level = level
        self._stream = stream
        self._thread = _Unfinished()

    @property
    def encoding(self) -> str:
        """Encoding of the stream behind."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:
        """Error handler of the stream behind."""
        return getattr(self._stream, "errors", None)

    @property
    def buffer(self) -> Any:
        """The binary stream behind; what is written there does not pass the log."""
        return getattr(self._stream, "buffer", None)

    closed = False
    mode = "w"
    name = "<log>"

    def write(self, data: Any) -> int:
        """Log every line that is complete."""
        text = data.decode(self.encoding, "replace") if isinstance(data, bytes) else str(data)
        thread = self._thread
        if thread.logging:
            return len(text)  # a handler printed: logging that would never end
        *lines, thread.line = (thread.line + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of ``lines``."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the unfinished line."""
        line, self._thread.line = self._thread.line, ""
        self._log(line)

    def _log(self, line: str) -> None:
        line = line.rstrip()
        if not line or self._thread.logging:
            return
        self._thread.logging = True
        try:
            self._logger.log(self._level, "%s", line)
        finally:
            self._thread.logging = False

    def isatty(self) -> bool:
        """A log is no terminal."""
        return False

    def readable(self) -> bool:
        """Nothing can be read from it."""
        return False

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the stream behind, for programs a task starts."""
        if self._stream is None:
            raise OSError("This process has no such stream")
        return self._stream.fileno()

    def close(self) -> None:
        """Do nothing; the stream behind belongs to the process."""


class _Unfinished(threading.local):
    """What one thread has written since its last line end, and whether it is logging right now."""

    line = ""
    logging = False
