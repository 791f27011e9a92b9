"""Writes down what it observes, adds a command and a setting, and fails once in a while."""

import click

from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-extension", summary="Keeps a journal.")
journal = []


@hookimpl
def tq_task_started(task_name):
    journal.append(task_name)


@hookimpl
def tq_task_finished(task_id, task_name, state, runtime):
    raise RuntimeError("the pen broke")


@hookimpl
def tq_settings_schema():
    return {"journal_pages": {"type": "integer", "default": 100}}


@hookimpl
def tq_cli_commands():
    return {"journal": click.Command("journal", callback=lambda: click.echo("dear journal"))}
