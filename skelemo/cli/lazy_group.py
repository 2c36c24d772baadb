"""Groups of verbs, one module each, imported when the verb is asked for."""

import importlib
import keyword
from typing import Any

import click


class Verbs(click.Group):
    """A group whose verbs are the modules of a package; each holds its ``command``.

    Parameters
    ----------
    modules : where they lie, as ``skelemo.cli.{}``.
    verbs : their names, in the order in which they are used.
    """

    def __init__(self, *args: Any, modules: str, verbs: tuple[str, ...], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.modules = modules
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in order of use."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in self.verbs:
            return None
        module = importlib.import_module(self.modules.format(cmd_name + "_" * keyword.iskeyword(cmd_name)))
        command: click.Command = module.command
        return command
