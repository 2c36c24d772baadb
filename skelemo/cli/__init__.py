"""The command line: one file per verb, no logic. A verb's module is imported when the verb is asked for."""

import importlib
from typing import Any

import click

import skelemo
from skelemo.errors import SkelemoError

#: In the order in which they are used.
VERBS = ("synth", "ingest", "cache", "show", "export", "models", "train", "report")


class _UserError(click.ClickException):
    """One line, exit code 2."""

    exit_code = 2


class Verbs(click.Group):
    """The verbs, and the one place where an error of the user's becomes a line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in order of use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"skelemo.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; what the user can put right is told in one line."""
        try:
            return super().invoke(ctx)
        except SkelemoError as error:
            raise _UserError(str(error)) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise _UserError(f"{error.filename or 'input or output'}: {error.strerror or error}") from error


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(skelemo.__version__, prog_name="skelemo")
def main() -> None:
    """Emotion from movement: OpenPose keypoints to trained, honestly evaluated models."""
