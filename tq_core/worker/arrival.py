"""A worker's start: the broker may still be on its way up."""

from __future__ import annotations

import logging
import multiprocessing.connection
from typing import TYPE_CHECKING

from tq_core.errors import BrokerUnavailable
from tq_core.retry import delays
from tq_core.worker.shutdown import SignalDesk

if TYPE_CHECKING:
    from tq_core.app import Celery

logger = logging.getLogger("tq.worker")


def wait_for_broker(app: Celery, desk: SignalDesk) -> bool:
    """Wait until the broker answers. Called by the supervisor's main thread.

    Args:
        app: the application.
        desk: where a request to stop arrives.

    Returns:
        False when it does not answer, or when asked to stop meanwhile.
    """
    conf = app.conf
    retry = conf.broker_connection_retry_on_startup
    if retry is None:
        retry = conf.broker_connection_retry
    most = conf.broker_connection_max_retries if retry else 0
    pauses = delays(0.5, 1.5, 10.0)
    tried = 0
    while True:
        try:
            app.broker.connect(conf.broker_connection_timeout or 4.0)
            return True
        except BrokerUnavailable as error:
            tried += 1
            if most is not None and tried > most:
                logger.critical("Cannot connect to the broker: %s", error)
                return False
            pause = next(pauses)
            logger.error(
                "consumer: Cannot connect to %s: %s Trying again in %.2f seconds... (%s/%s)",
                app.broker_address,
                error,
                pause,
                tried,
                most or "∞",
            )
        multiprocessing.connection.wait([desk.wakeup], pause)
        desk.clear_wakeup()
        if desk.stop is not None:
            return False
