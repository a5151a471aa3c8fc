"""What a command shows: its result on stdout, everything else on stderr."""

import contextlib
import json
import math
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Sequence, Union

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

Progress = Callable[[int, int, str], None]
Cell = Union[str, Text]

_PLAIN_WIDTH = 110
_LINE_EVERY_S = 10.0
_NEXT = ["next  "] + 9 * ["      "]


def show(value: Dict[str, Any], draw: Callable[[], RenderableType], as_json: bool) -> None:
    """Print a result: as one JSON object on one line, or as `draw` has it.

    Args:
        value: the result, of plain values and NumPy scalars; a number that is not finite becomes null.
        draw: makes the table or panel; not called for JSON.
        as_json: which of the two.
    """
    if as_json:
        print(json.dumps(plain(value), allow_nan=False, sort_keys=False), flush=True)
        return
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, emoji=False, width=_PLAIN_WIDTH)
    console.print(draw())


def plain(value: Any) -> Any:
    """`value` as JSON can say it: NumPy scalars become numbers, tuples lists, NaN and infinities None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def rounded(value: Any, digits: int = 3) -> Any:
    """`value` with its floating-point numbers rounded, through dicts and lists."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value


def note(text: str) -> None:
    """Print a remark on stderr."""
    Console(stderr=True, markup=False, highlight=False, emoji=False).print(Text(text, style="dim"), soft_wrap=True)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Progress]:
    """A bar on stderr while the block runs, or plain lines where stderr is no terminal.

    Args:
        what: the work, in one or two words.

    Yields:
        A function of (done, total, text) for the library to call.
    """
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        yield Lines(what)
        return
    with _bars(console) as bars:
        yield _Bars(what, bars)
    console.print()


class _Bars:
    """A bar a step: a new one where the total changes or the count starts again."""

    def __init__(self, what: str, bars: Any) -> None:
        self._what = what
        self._bars = bars
        self._task: Any = None
        self._state = (0, 0)

    def __call__(self, done: int, total: int, text: str) -> None:
        if self._task is None or total != self._state[1] or done < self._state[0]:
            self._task = self._bars.add_task(self._what, total=max(total, 1))
        self._state = (done, total)
        self._bars.update(self._task, completed=done, description=_told(text, self._what))


def _bars(console: Console) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Column

    # as wide as its longest text so far, but never so wide that the bar is pushed out
    text = Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - 56, 12))
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=text),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left", style="dim"),
        TimeRemainingColumn(),
        console=console,
    )


class Lines:
    """Progress without control characters: a line for each new step, when it ends, and now and then between."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._state = (0, 0)
        self._said_s = 0.0

    def __call__(self, done: int, total: int, text: str) -> None:
        now = self._clock()
        fresh = total != self._state[1] or done < self._state[0]
        self._state = (done, total)
        if fresh or done >= total or now - self._said_s >= _LINE_EVERY_S:
            self._said_s = now
            print("{}: {}/{}".format(_told(text, self._what), done, total), file=sys.stderr, flush=True)


def _told(text: str, what: str) -> str:
    """A path is not a step: the name of the work stands for it."""
    return what if not text or text.startswith(("/", "./", "../")) else text


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], title: str = "", left: int = 1) -> RenderableType:
    """A table with a rule under its head, and nothing else drawn.

    Args:
        columns: the head.
        rows: cells, as text.
        title: above the head, on the left.
        left: how many columns, counted from the left, are text; the rest are numbers and stand on the right.
    """
    from rich import box

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", border_style="dim")
    for index, name in enumerate(columns):
        grid.add_column(name, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return _titled(title, grid)


def facts(pairs: Sequence[Sequence[Cell]], title: str = "") -> RenderableType:
    """Names on the left, what they are on the right."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in pairs:
        grid.add_row(name, text)
    return _titled(title, grid)


def reasons(what: str, layers: Dict[str, str]) -> RenderableType:
    """Layers and why, one row a reason."""
    names: Dict[str, List[str]] = {}
    for layer, reason in layers.items():
        names.setdefault(reason, []).append(layer)
    rows = []
    for reason, group in names.items():
        more = ", … {} in all".format(len(group)) if len(group) > 3 else ""
        rows.append((", ".join(group[:3]) + more, reason))
    return table((what, "because"), rows, left=2)


def _titled(title: str, grid: Table) -> RenderableType:
    """The grid below its title, which, unlike a table's own, may be wider."""
    return Group(Text(title, style="bold"), grid) if title else grid


def next_step(*commands: str) -> Text:
    """The lines that say what to type next."""
    lines = [Text.assemble((lead, "dim"), (command, "cyan")) for lead, command in zip(_NEXT, commands)]
    return Text("\n").join(lines)


def size(count: float) -> str:
    """Bytes as people read them: 912 B, 34.1 kB, 3.66 MB (powers of ten, as disks and papers count)."""
    unit = "B"
    for larger in ("kB", "MB", "GB"):
        if count < 999.5:
            break
        count, unit = count / 1000.0, larger
    digits = 0 if unit == "B" or count >= 100 else 1 if count >= 10 else 2
    return "{:.{}f} {}".format(count, digits, unit)
