"""edgekit synth: render a flight to a video, or flights to a dataset."""

from typing import Any, Dict, Tuple

import typer

from edgekit.cli import options


def synth(
    out: str = typer.Argument(
        ..., metavar="OUT", help="A name ending in .mp4 for a video and its truth beside it; else a COCO folder."
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Which world, weather, path and traffic."),
    frames: int = typer.Option(300, "--frames", metavar="N", min=1, help="Frames to render, of each flight."),
    size: str = typer.Option("640x512", "--size", metavar="WxH", help="Picture size, pixels."),
    fps: float = typer.Option(30.0, "--fps", metavar="FPS", min=0.1, help="Frames a second."),
    infrared: bool = typer.Option(
        False, "--infrared", help="The thermal picture: in a video instead of colour, in a dataset beside it."
    ),
    one_camera: float = typer.Option(
        0.0, "--one-camera", metavar="SHARE", min=0.0, max=1.0, help="Of the actors: seen by one camera alone."
    ),
    flights: int = typer.Option(
        1, "--flights", metavar="N", min=1, help="Flights in a dataset, seeded from --seed on."
    ),
    every: int = typer.Option(1, "--every", metavar="N", min=1, help="Keep every so many frames in a dataset."),
    as_json: bool = options.JSON,
) -> None:
    """Render a drone flight with exact boxes and tracks."""
    from dataclasses import replace

    from edgekit.cli import screen
    from edgekit.data.synth.flight import Flight
    from edgekit.data.synth.writer import write_dataset, write_video

    width, height = _size(size)
    flight = Flight(seed=seed, width=width, height=height, frames=frames, fps=fps, one_camera=one_camera)
    with screen.progress("render") as progress:
        if out.endswith(".mp4"):
            truth = write_video(flight, out, infrared=infrared, progress=progress)
            images = frames
        else:
            several = [replace(flight, seed=seed + k) for k in range(flights)]
            truth = write_dataset(several, out, infrared=infrared, every=every, progress=progress)
            images = flights * len(range(0, frames, every))
    value = {
        "out": out, "truth": truth, "images": images, "width": width, "height": height,
        "classes": list(flight.classes), "seed": seed, "infrared": infrared,
    }  # fmt: skip
    screen.show(value, lambda: _draw(value), as_json)


def _size(text: str) -> Tuple[int, int]:
    width, x, height = text.lower().partition("x")
    if not (x and width.isdigit() and height.isdigit()):
        raise typer.BadParameter("--size is WIDTHxHEIGHT in pixels, such as 640x512; got {}".format(text))
    return int(width), int(height)


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = [
        ("written", value["out"]),
        ("truth", value["truth"]),
        ("images", "{images}, {width}x{height}".format(**value)),
        ("classes", ", ".join(value["classes"])),
    ]
    video = value["out"].endswith(".mp4")
    following = (
        "edgekit run BUNDLE {} --save boxes.mp4"
        if video
        else "edgekit val BUNDLE --images {0}/images --annotations {1}"
    )
    return Group(screen.facts(rows), Text(""), screen.next_step(following.format(value["out"], value["truth"])))
