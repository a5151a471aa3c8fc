"""Dockerfile.jetson as values: its stages, and what a stage inherits for a JetPack."""

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCKERFILE = CHECKOUT / "Dockerfile.jetson"
JETPACKS = (4, 5, 6, 7)


@dataclass(frozen=True)
class Instruction:
    """One instruction, continued lines joined: RUN, COPY, …; its text; the line that it starts in."""

    keyword: str
    text: str
    line: int


@dataclass(frozen=True)
class Stage:
    """A build stage: its name, the image or stage that it starts from as written, and its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def of(self, keyword: str) -> list[Instruction]:
        return [one for one in self.instructions if one.keyword == keyword]


def instructions(text: str) -> list[Instruction]:
    """Every instruction in order; comments, also those between continued lines, are left out."""
    found: list[Instruction] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (pending or line.strip()):
            continue
        start = start if pending else number
        pending += line.rstrip().removesuffix("\\")
        if not line.rstrip().endswith("\\"):
            keyword, rest = pending.split(None, 1)
            found.append(Instruction(keyword.upper(), rest.strip(), start))
            pending = ""
    return found


def stages(text: str) -> dict[str, Stage]:
    """The stages by name, in order."""
    found: dict[str, Stage] = {}
    for one in instructions(text):
        if one.keyword == "FROM":
            base, name = re.fullmatch(r"(?:--platform=\S+\s+)?(\S+)\s+AS\s+(\S+)", one.text).groups()
            found[name] = Stage(name, base, ())
        elif found:
            last = found[name]
            found[name] = Stage(last.name, last.base, (*last.instructions, one))
    return found


def lineage(found: dict[str, Stage], name: str, jetpack: int) -> list[Stage]:
    """The stage and what it is built on, the first first."""
    line = []
    while name in found:
        line.insert(0, found[name])
        name = found[name].base.replace("${JETPACK}", str(jetpack))
    return line


def environment(line: list[Stage]) -> dict[str, str]:
    """What ENV sets in a lineage, unexpanded."""
    return {key: value for stage in line for one in stage.of("ENV") for key, value in assignments(one.text)}


def assignments(text: str) -> list[tuple[str, str]]:
    """KEY=value pairs of an ENV or LABEL."""
    return [(key, value.strip('"')) for key, value in re.findall(r'(\S+?)=("[^"]*"|\S+)', text)]


def is_system_step(one: Instruction) -> bool:
    """Whether a RUN changes the system rather than the Python environment: it needs the base image and root."""
    return re.search(r"\b(apt-get|useradd|ldconfig)\b", one.text) is not None
