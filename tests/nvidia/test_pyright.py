"""The type checker agrees with every version's bindings, and would notice if we did not."""

import pytest

from tests.nvidia.bindings import VERSIONS
from tests.nvidia.typecheck import check, checked_files

PLANTED = """
from typing import TYPE_CHECKING

from edgekit.nvidia.trt import TensorRT, optional

if TYPE_CHECKING:
    import tensorrt as trt


def plan(tensorrt: TensorRT, config: "trt.IBuilderConfig", engine: "trt.ICudaEngine") -> None:
    config.set_flag(tensorrt.module.BuilderFlag.INT8)
    config.max_workspace_size = 1 << 20
    engine.get_tensor_name(0)
    engine.get_binding_name(0)
    engine.invented
    optional(engine, "num_bindings")
"""
LINES = PLANTED.splitlines()
WANTED = {
    "8.6.1": ["engine.invented"],
    "10.3.0": ["config.max_workspace_size = 1 << 20", "engine.get_binding_name(0)", "engine.invented"],
}
WANTED["10.16.1.11"] = WANTED["10.3.0"]
WANTED["11.4.0.106"] = ["config.set_flag(tensorrt.module.BuilderFlag.INT8)"] + WANTED["10.3.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_names_are_in_every_version_and_planted_mistakes_are_found(version, tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(PLANTED)
    files = [path for path in checked_files() if path.exists()]
    assert len(files) >= 10
    findings = check(version, [*files, planted])
    ours = [finding for finding in findings if finding.file != str(planted)]
    assert ours == []
    assert [LINES[finding.line - 1].strip() for finding in findings] == WANTED[version]
