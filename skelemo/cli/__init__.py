"""The command line: one file per command or group of related commands, without logic."""

import atexit
import gc
import importlib
import io
import keyword
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

import skelemo
from skelemo.errors import SkelemoError, os_reason
from skelemo.text import visible

#: What Ctrl-C prints, unless a command has more to say (`on_interrupt`).
INTERRUPTED = "interrupted; no partial output was left; run the same command again"


class Verbs(click.Group):
    """A group whose commands are imported on use, each the ``command`` of the module with its name.

    Parameters
    ----------
    modules : module path, such as ``skelemo.cli.{}``.
    verbs : command names, in typical order of use.
    shared : modules with several commands, by command; each command is the function of the same name.
    """

    def __init__(
        self, *args: Any, modules: str, verbs: tuple[str, ...], shared: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.modules, self.verbs, self.shared = modules, verbs, shared or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in order of use."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.verbs:
            return None
        module = importlib.import_module(self.modules.format(self.shared.get(cmd_name, cmd_name)))
        name = cmd_name + "_" * keyword.iskeyword(cmd_name) if cmd_name in self.shared else "command"
        command: click.Command = getattr(module, name)
        return command


def on_interrupt(line: Callable[[], str]) -> None:
    """Set what Ctrl-C prints during this command."""
    click.get_current_context().meta[__name__] = line


class _UserError(click.ClickException):
    """One line, exit code 2."""

    exit_code = 2


class _Skelemo(Verbs):
    """The main group, which reports user errors in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; user errors are reported in one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if line := ctx.meta.get(__name__, lambda: INTERRUPTED)():
                click.echo(f"\n{line}", err=True)
            ctx.exit(130)
        except NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            message = visible(error.format_message()).rstrip(".")
            if isinstance(error, click.NoSuchOption) and error.option_name == "--data":
                message = f"{command} takes no --data: pass the cache as an argument, as in {command} cache/NAME"
            raise _UserError(f"{message}; {command} --help for usage") from None
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
    shared={"show": "view", "pretrain": "train", "tune": "study"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(skelemo.__version__, prog_name="skelemo")
def main() -> None:
    """Emotion from movement: train and evaluate models on OpenPose keypoints."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that the terminal's encoding lacks
    atexit.register(gc.freeze)  # saves a garbage collection of torch's objects on exit: 0.7 s
