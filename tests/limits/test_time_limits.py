"""Time limits: where they come from, on every pool; and those that a pool cannot keep."""

from __future__ import annotations

import pytest

from tq_core.errors import TimeLimitExceeded


@pytest.mark.parametrize("pool", ["prefork", "threads", "aio", "solo"])
@pytest.mark.row("S082", "S083", "S137")
def test_limits_of_calls_annotations_settings_and_remote_control_are_kept(start_worker, project, configure, pool):
    configure(
        task_time_limit=0.5,
        task_annotations={
            "project.tidy": {"time_limit": 60},
            "project.tidy_by_annotation": {"soft_time_limit": 0.2, "time_limit": 60},
        },
    )
    start_worker("-P", pool, "-c", "2").ready()
    (answer,) = project.app.control.time_limit("project.tidy_by_control", soft=0.2, hard=60, reply=True, limit=1)
    assert next(iter(answer.values())) == {"ok": "time limits set successfully"}
    tidy = [
        project.tidy.apply_async(soft_time_limit=0.2),
        project.tidy_by_annotation.delay(),
        project.tidy_by_control.delay(),
    ]
    hard = [project.endless.apply_async(time_limit=0.3), project.endless.delay()]
    assert [result.get(timeout=30) for result in tidy] == ["cleaned up"] * 3
    for result, limit in zip(hard, ("0.3", "0.5"), strict=True):
        with pytest.raises(TimeLimitExceeded, match=limit):
            result.get(timeout=30)
    assert project.add.delay(1, 1).get(timeout=30) == 2


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"soft_time_limit": 5}, "Task project.add has a soft time limit of 5 seconds, but the pool"),
        ({"time_limit": 5}, "Task project.add has a time limit of 5 seconds, but the pool"),
    ],
)
def test_a_limit_that_the_pool_cannot_keep_is_refused_at_the_start(start_worker, project, configure, limits, says):
    configure(task_annotations={"project.add": limits})
    worker = start_worker("-P", "project:WeakPool", "-c", "1")
    assert worker.wait() != 0
    assert says in worker.text
    assert "choose another pool (-P)" in worker.text
    assert "Traceback" not in worker.text


def test_a_limit_that_the_pool_cannot_keep_is_refused_at_run_time(start_worker, project):
    worker = start_worker("-P", "project:WeakPool", "-c", "1").ready()

    def answer(**arguments):
        (told,) = project.app.control.broadcast("time_limit", arguments, reply=True, limit=1, timeout=10)
        return next(iter(told.values()))["error"]

    assert "cannot interrupt a running task" in answer(task_name="project.add", soft=1)
    assert "cannot stop a running task" in answer(task_name="project.add", hard=1)
    assert answer(task_name="project.nothing", hard=1) == "unknown task"
    assert "seconds above 0, not 'soon'" in answer(task_name="project.add", hard="soon")
    # A call that asks for it runs all the same, and the log says what it does not get.
    assert project.add.apply_async((1, 1), soft_time_limit=5).get(timeout=30) == 2
    worker.wait_for("was called with a soft time limit, which this pool cannot keep")
