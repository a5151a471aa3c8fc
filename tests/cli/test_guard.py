import pytest
import typer

from edgekit.cli.guard import guarded
from edgekit.errors import DataError, GateError


def _status(error):
    def verb():
        raise error

    with pytest.raises(typer.Exit) as stopped:
        guarded(verb)()
    return stopped.value.exit_code


def test_a_users_mistake_is_one_line(capsys):
    assert _status(DataError("cannot read\n  a.jpg")) == 2
    assert capsys.readouterr().err == "error: cannot read a.jpg\n"


def test_a_failed_gate_is_three(capsys):
    assert _status(GateError("AP is too low")) == 3
    assert capsys.readouterr().err == "error: AP is too low\n"


def test_ctrl_c_is_130(capsys):
    assert _status(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted: nothing is half written\n"


def test_ctrl_c_in_training_says_how_to_go_on(capsys):
    assert _status(KeyboardInterrupt("resume with: edgekit train r.toml --resume")) == 130
    assert "--resume" in capsys.readouterr().err


def test_a_mistake_of_ours_shows_its_traceback(capsys):
    assert _status(ZeroDivisionError("x")) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown and shown.splitlines()[-1].startswith("error: this is a mistake in edgekit")


def test_options_keep_their_meaning():
    def verb(path: str, count: int = typer.Option(3, "--count")) -> None:
        """Do it."""

    import inspect

    assert list(inspect.signature(guarded(verb)).parameters) == ["path", "count"]
    assert guarded(verb).__doc__ == "Do it."
