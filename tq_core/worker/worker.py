"""The worker node: a supervisor that starts, watches and replaces runners.

No task passes through it. Its one thread waits for signals, for words from runners and for their deaths, and looks at
the board for tasks past their hard limit. Because that thread alone talks to broker and backend, and is the one that
forks,
no lock is ever held by another thread at the moment of a fork.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing.connection
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from tq_core import signals
from tq_core.errors import BackendError, BackendUnavailable, BrokerError, ImproperlyConfigured
from tq_core.runner.board import Board, BusySlot
from tq_core.runner.entry import EXIT_CANNOT_START, AppReference
from tq_core.runner.runner import RunnerSpec
from tq_core.worker.aftermath import Aftermath, Death
from tq_core.worker.arrival import wait_for_broker
from tq_core.worker.autoscale import Autoscaler
from tq_core.worker.banner import banner
from tq_core.worker.limit_checks import check_limits
from tq_core.worker.options import WorkerOptions, concurrency_of, node_name
from tq_core.worker.processes import Launcher, RunnerProcess
from tq_core.worker.revocation import Revocation
from tq_core.worker.shutdown import COLD, WARM, SignalDesk, signal_name
from tq_core.worker.task_changes import TaskChanges

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.control.mailbox import ControlMailbox

logger = logging.getLogger("tq.worker")

#: Seconds between looks at the board.
_LOOK = 0.1
#: Exit codes.
EXIT_OK, EXIT_FAILURE = 0, 1
#: A runner that dies younger than this, without having run anything, is not replaced at once.
_INFANT = 1.0
#: Rows on the board beyond the runners started, for growing.
_SPARE_ROWS = 64


class Worker:
    """One worker node.

    Args:
        app: the application, its tasks imported.
        options: what the command line says.
        reference: how a spawned runner finds the application; not needed with ``fork``.
    """

    def __init__(
        self, app: Celery, options: WorkerOptions | None = None, reference: AppReference | None = None
    ) -> None:
        options = options or WorkerOptions()
        conf = app.conf
        self.app = app
        self.options = options
        self.hostname = node_name(options.hostname)
        self.pool_name: str = options.pool or conf.worker_pool
        self.pool = app.plugins.pool_class(self.pool_name)
        concurrency = concurrency_of(app, options, self.pool.usual_concurrency)
        self.layout = self.pool.layout(concurrency, options.processes or conf.worker_processes)
        app.queues.select(options.queues, options.exclude_queues)
        if conf.worker_direct:
            app.queues.select_add(f"{self.hostname}.dq", exchange="C.dq2", routing_key=self.hostname)
        self.start_method = self._start_method()
        self._reference = reference
        if self.start_method != "fork" and reference is None:
            raise ImproperlyConfigured(
                f"start method {self.start_method!r} needs an application that can be imported; use -A"
            )
        self._refuse_private_broker()
        self._desk = SignalDesk()
        self._runners: list[RunnerProcess] = []
        self._deaths: list[Death] = []
        self._autoscaler = Autoscaler(*options.autoscale) if options.autoscale else None
        self._wanted = self._autoscaler.fewest if self._autoscaler else self.layout.processes
        self._announced = False
        self._stopping: str | None = None
        self._replace_at = 0.0
        self._infants = 0
        self._exit_code = EXIT_OK
        self._aftermath = Aftermath(app, self.hostname)
        check_limits(app, self.pool_name, self.pool.capabilities)
        self._revocation = Revocation(
            app,
            self._tell,
            self._busy,
            isolated=self.pool.capabilities.isolated,
            polls=not app.broker.capabilities.control,
        )
        self._changes = TaskChanges(app, self._tell, self.pool_name, self.pool.capabilities)
        heard = conf.worker_enable_remote_control and app.broker.capabilities.control
        self._control = self._make_control() if heard else None
        if signals.worker_init.receivers:
            signals.worker_init.send(self)

    @property
    def queues(self) -> list[str]:
        """Names of the queues it receives from."""
        return self.app.queues.consume_from

    # life

    def start(self) -> int:
        """Run until stopped, and return the exit code."""
        with self._desk:
            if not wait_for_broker(self.app, self._desk):
                return EXIT_FAILURE if self._desk.stop is None else EXIT_OK
            if self.options.purge:
                self._purge()
            if not self.options.quiet:
                print(banner(self), file=sys.__stdout__, flush=True)
            self._board = Board(self.layout.processes + _SPARE_ROWS, self.layout.slots)
            self._launcher = self._make_launcher()
            self._prepare_to_fork()
            self._revocation.recall()
            try:
                if self._control is not None:
                    self._control.open()
                self._loop()
            finally:
                self._kill_all()
                if self._control is not None:
                    self._control.close()
                self._board.close()
                if signals.worker_shutdown.receivers:
                    signals.worker_shutdown.send(self)
                for listener in self.app.plugins.observers("tq_worker_shutdown"):
                    listener(self.hostname)
                self.app.close()
        return self._exit_code

    def _loop(self) -> None:
        while True:
            self._keep_number()
            self._wait()
            self._obey()
            self._bury_the_dead()
            self._enforce_limits()
            self._scale()
            if self._stopping and not self._runners and not self._deaths:
                return

    def _purge(self) -> None:
        for queue in self.queues:
            count = self.app.broker.purge(queue)
            logger.warning("purge: erased %d messages from %s", count, queue)

    # one turn of the loop

    def _keep_number(self) -> None:
        """Start runners until there are as many as wanted."""
        if self._stopping or monotonic() < self._replace_at:
            return
        serving = [r for r in self._runners if not r.draining]
        taken = {r.number for r in self._runners}
        for number in range(self._board.runners):
            if len(serving) >= self._wanted:
                return
            if number not in taken:
                revoked = self._revocation.revoked
                if signals.worker_before_create_process.receivers:
                    signals.worker_before_create_process.send(self)
                runner = self._launcher.launch(
                    number, self._runners, revoked=revoked.ids(), stamps=revoked.stamps(), changes=self._changes.all()
                )
                self._runners.append(runner)
                serving.append(runner)

    def _wait(self) -> None:
        """Sleep until a signal, a word or a death, or until it is time to look at the board."""
        sources: list[Any] = [self._desk.wakeup]
        for runner in self._runners:
            sources += (runner.connection, runner.process.sentinel)
        requests = self._control.source() if self._control is not None else None
        if requests is not None:
            sources.append(requests)
        for source in multiprocessing.connection.wait(sources, _LOOK):
            if source is self._desk.wakeup:
                self._desk.clear_wakeup()
        for runner in self._runners:
            self._listen(runner)
        if self._control is not None:
            self._control.attend()
        self._revocation.look()
        if not self._announced and len([r for r in self._runners if r.ready]) >= self._wanted:
            self._announced = True
            logger.info("%s ready.", self.hostname)
            if signals.worker_ready.receivers:
                signals.worker_ready.send(self)
            for listener in self.app.plugins.observers("tq_worker_ready"):
                listener(self.hostname)

    def _listen(self, runner: RunnerProcess) -> None:
        try:
            while runner.connection.poll():
                word, *rest = runner.connection.recv()
                if word == "ready":
                    runner.ready = True
                    self._infants = 0
                elif word == "failed":
                    runner.failure = rest[0]
                elif word == "finished":
                    runner.draining = True
                elif word == "answer":
                    self._revocation.answered(*rest[1])
        except (EOFError, OSError):
            runner.draining = True  # its death is handled when the process has ended

    def _obey(self) -> None:
        desk = self._desk
        if desk.growth:
            self._wanted = max(1, min(self._wanted + desk.growth, self._board.runners))
            desk.growth = 0
            logger.info("The pool has %d runners from now on", self._wanted)
        serving = [r for r in self._runners if not r.draining]
        for runner in serving[self._wanted :]:
            runner.drain()
        if desk.stop == self._stopping:
            return
        self._stopping = desk.stop
        name = signal_name(desk.signal_number)
        if signals.worker_shutting_down.receivers:
            exitcode = EXIT_FAILURE if desk.stop == COLD else self._exit_code
            how = (desk.stop or WARM).capitalize()
            signals.worker_shutting_down.send(self.hostname, sig=name, how=how, exitcode=exitcode)
        if desk.stop == WARM:
            logger.warning("worker: Warm shutdown (%s)", name)
            for runner in self._runners:
                runner.drain()
        else:
            logger.warning("worker: Cold shutdown (%s)", name)
            self._exit_code = EXIT_FAILURE
            self._kill_all()

    def _bury_the_dead(self) -> None:
        for runner in [r for r in self._runners if not r.process.is_alive()]:
            self._listen(runner)
            self._runners.remove(runner)
            exitcode = runner.process.exitcode or 0
            runner.process.join()
            busy = self._board.busy(runner.number)
            runner.close()
            if exitcode != 0 or busy:
                self._note_death(runner, exitcode, busy)
        self._settle_deaths()

    def _note_death(self, runner: RunnerProcess, exitcode: int, busy: list[Any]) -> None:
        death = Death(
            runner.spec.consumer_id,
            exitcode,
            busy,
            runner.overdue_task,
            shutdown=self._stopping == COLD,
            terminated=runner.terminated_task,
        )
        self._deaths.append(death)
        if exitcode == EXIT_CANNOT_START and not self._announced:
            logger.critical("The worker cannot start: %s", runner.failure or death.cause)
            self._exit_code = EXIT_FAILURE
            self._desk.stop = WARM
        elif not self._stopping and not runner.condemned:
            logger.error("A runner (pid %s) died: %s", runner.pid, death.cause)
            if not busy and monotonic() - runner.started_at < _INFANT:
                self._infants += 1
                self._replace_at = monotonic() + min(5.0, 0.1 * 2**self._infants)

    def _settle_deaths(self) -> None:
        while self._deaths:
            try:
                self._aftermath.settle(self._deaths[0])
            except (BrokerError, BackendError) as error:
                logger.error("The messages of a dead runner could not be settled yet: %s", error)
                if self._stopping:
                    self._deaths.clear()  # their lease runs out, and another worker takes them
                return
            except Exception:  # whatever a plugin or a hostile message raises, the other runners are watched on
                logger.exception("The messages of a dead runner cannot be settled; their lease will run out")
            del self._deaths[0]

    def _enforce_limits(self) -> None:
        """Kill runners whose task is past its limit, or did not end, where the pool cannot stop the task itself."""
        if not self.pool.capabilities.isolated:
            return
        now = monotonic()
        for runner in self._runners:
            for slot in self._board.busy(runner.number):
                overdue = slot.deadline is not None and now >= slot.deadline
                signum = self._revocation.overdue(slot, now)
                # Looked at twice: the task may have ended, and another begun, since the first look.
                if not (overdue or signum) or runner.condemned or slot not in self._board.busy(runner.number):
                    continue
                if signum:
                    runner.terminated_task = (slot.task_id, signum)
                elif slot.deadline is not None:
                    runner.overdue_task = (slot.task_id, round(slot.deadline - slot.started, 3))
                runner.process.kill()

    def _scale(self) -> None:
        """Follow the load, where the worker was told to."""
        if self._autoscaler is None or self._stopping:
            return
        serving = [r for r in self._runners if r.ready and not r.draining]
        if len(serving) < self._wanted:
            return  # the last decision is still being carried out
        busy = sum(len(self._board.busy(r.number)) >= self.layout.slots for r in serving)
        wanted = self._autoscaler.wanted(self._wanted, busy)
        if wanted != self._wanted:
            logger.info("Scaling from %d to %d runners", self._wanted, wanted)
            self._wanted = wanted

    def _kill_all(self) -> None:
        for runner in self._runners:
            runner.process.kill()
        for runner in self._runners:
            runner.process.join()
        self._bury_the_dead()

    # making

    def _prepare_to_fork(self) -> None:
        """Import and open here what every runner will use: forked, they start at once and share the memory of it."""
        app = self.app
        with suppress(BackendUnavailable):  # the runners keep their results until it comes back, and say so
            app.backend.connect(app.conf.broker_connection_timeout or 4.0)
        _ = app.tasks, app.backend, app.message_reader(), app.producer, app.router
        # Frozen objects are never visited by the collector, whose marks would make each runner copy their pages.
        gc.freeze()
        gc.enable()

    def _refuse_private_broker(self) -> None:
        """Refuse a broker whose messages the runners, being processes, could never see."""
        if not self.app.broker.capabilities.shared:
            raise ImproperlyConfigured(
                f"The broker {self.app.broker_address} keeps its messages inside one process, where no "
                "other process can see them; choose a broker that is shared, such as sqlite:///tasks.db"
            )

    def _start_method(self) -> str:
        asked = self.options.start_method or self.app.conf.worker_pool_start_method or "fork"
        available = multiprocessing.get_all_start_methods()
        if asked in available:
            return asked
        if self.app.conf.is_set("worker_pool_start_method") or self.options.start_method:
            raise ImproperlyConfigured(
                f"start method {asked!r} is not available on this platform; choose one of {', '.join(available)}"
            )
        return available[0]

    def _make_control(self) -> ControlMailbox:
        """Return the node's ear for remote control."""
        from tq_core.control.clock import LamportClock
        from tq_core.control.commands import Commands
        from tq_core.control.mailbox import ControlMailbox

        clock = LamportClock()
        commands = Commands(self.hostname, self._revocation, self._changes, clock)
        return ControlMailbox(self.app, self.hostname, commands, clock, on_return=self._revocation.recall)

    def _tell(self, word: str, *rest: Any) -> None:
        for runner in self._runners:
            runner.tell(word, *rest)

    def _busy(self) -> list[BusySlot]:
        return [slot for runner in self._runners for slot in self._board.busy(runner.number)]

    def _make_launcher(self) -> Launcher:
        options, conf = self.options, self.app.conf
        prefetch = 0
        multiplier = options.prefetch_multiplier
        if multiplier is None and conf.is_set("worker_prefetch_multiplier"):
            multiplier = conf.worker_prefetch_multiplier
        if conf.worker_disable_prefetch:
            multiplier = 1
        if multiplier:
            prefetch = multiplier * self.layout.slots
        template = RunnerSpec(
            number=0,
            consumer_id="",
            node=self.hostname,
            queues=tuple(self.queues),
            pool=self.pool_name,
            slots=self.layout.slots,
            prefetch=prefetch,
            max_tasks=_chosen(options.max_tasks_per_child, conf.worker_max_tasks_per_child),
            max_memory=_chosen(options.max_memory_per_child, conf.worker_max_memory_per_child),
            loglevel=options.loglevel,
            logfile=options.logfile,
        )
        return Launcher(self.app, self._reference, self.start_method, self._board, template)


def _chosen(option: int | None, setting: Any) -> int:
    return int(option if option is not None else setting or 0)
