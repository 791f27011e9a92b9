"""A pool of its own: one job after the other, in the main thread."""

from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-pool", summary="Runs jobs one after the other.")


@hookimpl
def tq_pool(request):
    import threading
    from collections import deque

    from tq_core.contracts.pool import Layout, Pool, PoolCapabilities

    class InlinePool(Pool):
        name = "inline"
        capabilities = PoolCapabilities(isolated=True)

        @classmethod
        def layout(cls, concurrency, processes):
            return Layout(processes or 1, 1)

        def __init__(self, slots):
            super().__init__(1)
            self._jobs = deque()
            self._changed = threading.Condition()
            self._stopped = False

        def start(self, execution, report):
            self._execution, self._report = execution, report

        def serve(self):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._jobs or self._stopped)
                    if not self._jobs:
                        return
                    job = self._jobs.popleft()
                self._report(job, self._execution.run(job))

        def submit(self, jobs):
            with self._changed:
                self._jobs.extend(jobs)
                self._changed.notify()

        def withdraw(self):
            with self._changed:
                jobs = list(self._jobs)
                self._jobs.clear()
                return jobs

        def queued(self):
            return len(self._jobs)

        def cancel(self, task_id, error):
            return False

        def resize(self, slots):
            """One slot for ever."""

        def stop(self):
            with self._changed:
                self._stopped = True
                self._changed.notify()

    return InlinePool
