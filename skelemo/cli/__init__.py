"""The command line: one file per verb, no logic."""

import atexit
import gc
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

import skelemo
from skelemo.cli.lazy_group import Verbs
from skelemo.errors import SkelemoError, os_reason
from skelemo.text import visible


class _UserError(click.ClickException):
    """One line, exit code 2."""

    exit_code = 2


class _Skelemo(Verbs):
    """The one place where an error of the user's becomes a line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; what the user can put right is told in one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted; nothing half-written is left: run the same command again", err=True)
            ctx.exit(130)
        except NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            said = visible(error.format_message()).rstrip(".")
            if isinstance(error, click.NoSuchOption) and error.option_name == "--data":
                said = f"{command} takes no --data: name the cache as an argument, as in {command} cache/NAME"
            raise _UserError(f"{said}; {command} --help explains it") from None
        except SkelemoError as error:
            raise _UserError(visible(str(error))) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise _UserError(visible(f"{error.filename or 'input or output'}: {os_reason(error)}")) from error


@click.group(
    cls=_Skelemo,
    modules=f"{__name__}.{{}}",
    verbs=(
        *("synth", "extract", "ingest", "cache", "show", "view", "models"),
        *("train", "pretrain", "study", "tune", "predict", "live", "evaluate", "report", "audit", "export"),
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(skelemo.__version__, prog_name="skelemo")
def main() -> None:
    """Emotion from movement: OpenPose keypoints to trained, honestly evaluated models."""
    atexit.register(gc.freeze)  # else the interpreter looks through all of torch once more before it ends: 0.7 s
