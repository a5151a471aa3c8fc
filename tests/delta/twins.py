"""Bundles that differ a little, made of the student that ships with the repository."""

import os

import numpy as np

from edgekit.bundle import LoweredGraph, WeightTensor, open_bundle, write_bundle

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STUDENT = os.path.join(ROOT, "models", "fasterx_student_thermal.ekb")


def write_twin(path, source, share, seed=0):
    """Write `source` again with a share of its codes a step or two off, as further training leaves them."""
    bundle, rng = open_bundle(source), np.random.RandomState(seed)
    manifest = bundle.manifest
    write_bundle(
        path,
        manifest=dict(manifest, provenance=dict(manifest["provenance"], seed=seed)),
        tensors=[_nudged(tensor, share, rng) for tensor in bundle.tensors().values()],
        lowerings={name: _lowered(bundle, record) for name, record in manifest["lowerings"].items()},
        files={
            name: bundle.read(name)
            for name in manifest["entries"]
            if name != "weights.bin" and not name.startswith("graphs/")
        },
    )
    return path


def _nudged(tensor, share, rng):
    if tensor.bits is None:
        return tensor
    most = 2 ** (tensor.bits - 1) - 1
    moved = tensor.values + rng.choice([-2, -1, 1, 2], tensor.values.shape)
    values = np.where(rng.rand(*tensor.values.shape) < share, np.clip(moved, -most, most), tensor.values)
    return WeightTensor(tensor.name, values.astype(np.int8), tensor.bits, tensor.axis, tensor.scale)


def _lowered(bundle, record):
    pairs = [(one["tensor"], one["encoding"]) for one in record["initializers"]]
    graph = bundle.read(record["graph"])
    return LoweredGraph(graph, pairs, record["opset"], record["requires"], record["parity"], record.get("hints", {}))


def small_tensors(step=0, bits=4):
    """Tensors of odd sizes; `step` moves some codes, one bias and one scale."""
    rng = np.random.RandomState(0)
    codes = rng.randint(-7, 8, (5, 3, 3, 1)).astype(np.int8)
    wide = rng.randint(-127, 128, (63, 65)).astype(np.int8)
    signs = rng.choice([-1, 1], (65,)).astype(np.int8)
    scale, bias = rng.rand(5).astype(np.float32), rng.randn(65).astype(np.float32)
    if step:
        codes[1, 1] = -codes[1, 1]
        wide[::7, ::9] = np.clip(wide[::7, ::9] + step, -127, 127)
        signs[3] = -signs[3]
        scale[2] *= 1.5
        bias[40] += step
    return [
        WeightTensor("codes", codes, bits, 0, scale),
        WeightTensor("bias", bias),
        WeightTensor("wide", wide, 8, 0, np.float32([0.5])),
        WeightTensor("signs", signs, 1, 0, np.float32([0.25])),
    ]


def write_small(path, step=0, bits=4, tensors=None, files=None):
    """Write a bundle of a few kB."""
    text = b" ".join("{}:{:.9f}".format(i, i * 0.37 + (step if i % 10 == 7 else 0)).encode() for i in range(900))
    pairs = [("bias", "float32")]
    write_bundle(
        path,
        manifest={
            "model": {"name": "small", "task": "detect", "classes": ["car"]},
            "preprocess": {},
            "decode": {},
            "plan": None,
            "provenance": {"step": step},
        },
        tensors=small_tensors(step, bits) if tensors is None else tensors,
        lowerings={"fp32": LoweredGraph(text, pairs, 13), "ort-arm": LoweredGraph(text + b" arm", pairs, 13)},
        files={"golden/0.png": bytes(bytearray(range(256)))} if files is None else files,
    )
    return path


def read_bytes(path):
    """All of a file."""
    with open(path, "rb") as stream:
        return stream.read()
