"""Arguments and options that several verbs share, with one wording each."""

import typer

BUNDLE = typer.Argument(..., metavar="BUNDLE", help="The .ekb file.")
LOWERING = typer.Option(None, "--lowering", metavar="NAME", help="Graph to run; default: the best for this machine.")
PRECISION = typer.Option(
    None, "--precision", metavar="BITS", min=1, max=8, help="Of a bundle of many precisions; default: its highest."
)
THREADS = typer.Option(None, "--threads", metavar="N", min=1, help="Worker threads; default: physical cores.")
DEVICE = typer.Option(
    "auto", "--device", metavar="NAME", help="auto, cpu, gpu or cuda:N (TensorRT), dla:N, ort-cuda, ort-tensorrt."
)
IMGSZ = typer.Option(None, "--imgsz", metavar="PX", help="Input size, pixels; must be the bundle's own.")
CONF = typer.Option(None, "--conf", metavar="SCORE", min=0.0, max=1.0, help="Lowest score; default: the bundle's.")
IOU = typer.Option(None, "--iou", metavar="IOU", min=0.0, max=1.0, help="Overlap; default: the bundle's.")
MAX_DET = typer.Option(None, "--max-det", metavar="N", min=1, help="Boxes a frame; default: the bundle's.")
TRACK = typer.Option(
    "bytetrack-flow", "--track", metavar="NAME", help="bytetrack, bytetrack-flow (moving camera) or none."
)
POLICY = typer.Option(
    None, "--policy", metavar="NAME", help="every (files: no frame is lost) or latest (cameras: the newest wins)."
)
GATE = typer.Option(
    None, "--gate", metavar="BUNDLE", help="A small detector on the processor that decides which frames this one sees."
)
GATE_CONF = typer.Option(
    None, "--gate-conf", metavar="SCORE", help="Score at which the gate has seen something; default: its bundle's."
)
GATE_HOLD = typer.Option(
    None,
    "--gate-hold",
    metavar="FRAMES",
    help="Frames that the detector goes on after something was seen; default: 15.",
)
GATE_EVERY = typer.Option(
    None, "--gate-every", metavar="FRAMES", help="Run the detector at least so often, whatever the gate; default: 30."
)
JSON = typer.Option(False, "--json", help="Print one JSON object.")
MODEL = typer.Argument(
    ..., metavar="MODEL", help="ONNX detector with a YOLOX, YOLOv8 or NanoDet head, or a checkpoint of edgekit train."
)
METHOD = typer.Option("auto", "--method", metavar="NAME", help="auto, minmax, percentile, entropy or mse.")
CALIB_COUNT = typer.Option(None, "--calib-count", metavar="N", min=1, help="How many of the pictures; default: all.")
SEED = typer.Option(0, "--seed", metavar="N", help="What chooses them.")
FLOAT_LAYERS = typer.Option(
    "auto",
    "--float-layers",
    metavar="WHICH",
    help="Kept in float: auto (stem and head, if it pays), search (single layers too), none, stem, head, stem+head.",
)
KEEP_FLOAT = typer.Option(None, "--keep-float", metavar="LAYER", help="Keep this layer in float too; may be repeated.")
WEIGHT_BITS = typer.Option(
    8, "--weight-bits", metavar="N", help="Width of the weights, 2 to 8; the first and last layers keep 8."
)
LAYER_BITS = typer.Option(
    None,
    "--layer-bits",
    metavar="LAYER=N",
    help="Width of this layer, whichever it is; it stays an integer. Repeatable.",
)
EQUALIZE = typer.Option(False, "--equalize", help="Even out the weight ranges of neighbouring layers first.")
BIAS_CORRECTION = typer.Option(False, "--bias-correction", help="Correct biases by the mean error.")
RANGES = typer.Option(None, "--ranges", metavar="DIR", help="Folder of range tables to reuse and to write.")
FAMILY = typer.Option(None, "--family", metavar="NAME", help="Head, if not recognised: yolox, yolov8 or nanodet.")
