"""edgekit val: average precision of a bundle on a labelled set."""

from typing import Any, Dict, List, Optional

import typer

from edgekit.cli import options

_COLUMNS = (("AP", "AP"), ("AP50", "AP50"), ("AP75", "AP75"), ("AP_small", "AP small"), ("AP_medium", "AP medium"),
            ("AP_large", "AP large"), ("AR", "AR"))  # fmt: skip


def val(
    bundle: str = options.BUNDLE,
    images: str = typer.Option(..., "--images", metavar="DIR", help="Folder of the images."),
    annotations: str = typer.Option(
        "", "--annotations", metavar="FILE", help="Annotation file, or folder where the format has one file an image."
    ),
    data: str = typer.Option(
        "coco", "--data", metavar="FORMAT", help="Format: coco, yolo, visdrone, vedai, dota or hit_uav."
    ),
    lowering: Optional[str] = options.LOWERING,
    precision: Optional[int] = options.PRECISION,
    vs: Optional[str] = typer.Option(None, "--vs", metavar="OTHER", help="Another bundle to score and compare with."),
    vs_lowering: Optional[str] = typer.Option(
        None, "--vs-lowering", metavar="NAME", help="Its graph; alone: compare within BUNDLE."
    ),
    vs_precision: Optional[int] = typer.Option(
        None, "--vs-precision", metavar="BITS", min=1, max=8, help="Its precision; alone: compare within BUNDLE."
    ),
    max_ap_drop: Optional[float] = typer.Option(
        None,
        "--max-ap-drop",
        metavar="AP",
        help="Exit with 3 if AP (0 to 1) is lower than that of --vs by more than this.",
    ),
    classes: str = typer.Option("", "--classes", metavar="A,B", help="Score these classes alone."),
    names: str = typer.Option("", "--names", metavar="A,B", help="Class names in order, where the labels have none."),
    skip_bad_labels: bool = typer.Option(False, "--skip-bad-labels", help="Leave out and count labels that are wrong."),
    conf: float = typer.Option(0.001, "--conf", metavar="SCORE", min=0.0, max=1.0, help="Lowest score."),
    iou: Optional[float] = typer.Option(
        None, "--iou", metavar="IOU", min=0.0, max=1.0, help="Overlap; default: what the head's published scores use."
    ),
    max_det: Optional[int] = typer.Option(None, "--max-det", metavar="N", min=1, help="Boxes an image, likewise."),
    imgsz: Optional[int] = options.IMGSZ,
    device: str = options.DEVICE,
    threads: Optional[int] = options.THREADS,
    as_json: bool = options.JSON,
) -> None:
    """Average precision on a labelled set: AP, AP50, AP small, each class."""
    from edgekit.bench.validate import gate_ap_drop
    from edgekit.bundle import open_bundle
    from edgekit.cli import habits, screen
    from edgekit.data import FORMATS, DatasetSpec, read_dataset
    from edgekit.errors import ConfigError

    if data not in FORMATS:
        raise ConfigError("--data {} is unknown; choose {}".format(data, ", ".join(FORMATS)))
    compares = vs is not None or vs_lowering is not None or vs_precision is not None
    if max_ap_drop is not None and not compares:
        raise ConfigError(
            "--max-ap-drop compares with another bundle: name it with --vs, or a graph with --vs-lowering"
        )
    pairs = [(bundle, lowering, precision)]
    if compares:
        pairs.append((vs or bundle, vs_lowering, vs_precision))
    for path, _, bits in pairs:
        preprocess = open_bundle(path, precision=bits).manifest["preprocess"]
        habits.check_imgsz(imgsz, preprocess["height"], preprocess["width"])
    dataset = read_dataset(
        DatasetSpec(data, images, annotations, tuple(_listed(names)), "drop" if skip_bad_labels else "raise")
    )
    for text in dataset.notes:
        screen.note(text)
    thresholds: Dict[str, Any] = {"classes": _listed(classes) or None, "conf": conf, "iou": iou, "max_det": max_det}
    thresholds.update(threads=threads, device=device)
    scored = [_score(path, dataset, dict(thresholds, lowering=graph, precision=bits)) for path, graph, bits in pairs]
    value = dict(scored[0], data=dataset.name)
    if len(scored) > 1:
        value["vs"] = scored[1]
        value["difference"] = {key: _minus(scored[0][key], scored[1][key]) for key, _ in _COLUMNS}
    screen.show(value, lambda: _draw(value), as_json)
    if max_ap_drop is not None:
        gate_ap_drop(scored[0], scored[1], max_ap_drop)


def _score(path: str, dataset: Any, how: Dict[str, Any]) -> Dict[str, Any]:
    from edgekit.bench.validate import validate
    from edgekit.cli import screen

    with screen.progress("validate") as progress:
        done = validate(path, dataset, progress=progress, **how)
    if done.matched_by == "order":
        screen.note("the set's class names are not the bundle's: taken to be the same, in order")
    return dict({"bundle": path, "precision": how["precision"]}, **done.to_json())


def _listed(text: str) -> List[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _minus(ours: Optional[float], other: Optional[float]) -> Optional[float]:
    return None if ours is None or other is None else round(ours - other, 6)


def _draw(value: Dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.text import Text

    from edgekit.cli import screen

    rows = [_row(_title(value), value)]
    if "vs" in value:
        rows.append(_row(_title(value["vs"]), value["vs"]))
        rows.append(_row("difference", value["difference"], sign=True))
    title = "{}: {} images, {} boxes".format(value["data"], value["images"], value["boxes"])
    parts: List[Any] = [screen.table(("",) + tuple(name for _, name in _COLUMNS), rows, title), Text("")]
    parts += [_class_table(value), Text("")]
    parts.append(
        Text(
            "conf {conf}, IoU {iou}, at most {max_det} boxes; {image_ms:.1f} ms an image with {backend}".format(
                **value
            ),
            style="dim",
        )
    )
    return Group(*parts)


def _title(scores: Dict[str, Any]) -> str:
    bits = "" if scores["precision"] is None else "  {precision} bits".format(**scores)
    return "{bundle}  {lowering}{}".format(bits, **scores)


def _row(name: str, scores: Dict[str, Any], sign: bool = False) -> List[str]:
    return [name] + [_score_text(scores[key], sign) for key, _ in _COLUMNS]


def _class_table(value: Dict[str, Any]) -> Any:
    from edgekit.cli import screen

    other = value.get("vs", {}).get("per_class", {})
    seen = [(name, score) for name, score in value["per_class"].items() if score["boxes"]]
    columns = ("class", "boxes", "AP", "AP50") + (("AP of the other",) if other else ())
    rows = []
    for name, score in sorted(seen, key=lambda item: -item[1]["boxes"])[:20]:
        row = [name, str(score["boxes"]), _score_text(score["AP"]), _score_text(score["AP50"])]
        rows.append(row + ([_score_text(other[name]["AP"])] if other else []))
    left_out = len(seen) - len(rows)
    return screen.table(
        columns, rows, "Classes" if not left_out else "The 20 most frequent of {} classes".format(len(seen))
    )


def _score_text(score: Optional[float], sign: bool = False) -> str:
    if score is None:
        return "-"
    return "{:+.4f}".format(score) if sign else "{:.4f}".format(score)
