"""What a command does when it cannot go on: one clear line and the right exit status, a traceback for bugs alone.

0 done · 1 a mistake of edgekit's · 2 a mistake of the user's or of the world · 3 a failed gate · 130 Ctrl-C
"""

import functools
import os
import sys
import traceback
from typing import Any, Callable, TypeVar

import typer

from edgekit.errors import EdgekitError

BUG = 1
INTERRUPTED = 130
PIPE_CLOSED = 141

_Verb = TypeVar("_Verb", bound=Callable[..., None])


def guarded(verb: _Verb) -> _Verb:
    """The same command, its exceptions turned into exit statuses."""

    @functools.wraps(verb)
    def run(*args: Any, **options: Any) -> None:
        try:
            verb(*args, **options)
            sys.stdout.flush()
        except EdgekitError as error:
            complain("error: {}".format(_one_line(error)))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stopped:
            complain("interrupted: {}".format(_one_line(stopped)))
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader has left, as `head` does; the interpreter would complain when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception:
            traceback.print_exc()
            complain("error: this is a mistake in edgekit, not yours; please report it with the lines above")
            raise typer.Exit(BUG) from None

    return run  # type: ignore[return-value]


def complain(text: str) -> None:
    """Print one line on stderr."""
    print(text, file=sys.stderr, flush=True)


def _one_line(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt) and not str(error):
        return "nothing is half written"
    return " ".join(str(error).split()) or type(error).__name__
