"""One exported bundle for all tests of the TensorRT checklist."""

from __future__ import annotations

import onnx
import pytest
from onnx import ModelProto

from edgeseg.bundle import Bundle
from edgeseg.export.exporter import export
from edgeseg.export.tensorrt.checklist import CheckedFiles
from tests.helpers.checklist import CONFIG
from tests.helpers.exporting import make_run, make_site


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    site = make_site(tmp_path_factory.mktemp("checklist") / "site")
    return Bundle.open(export(site, CONFIG, make_run(site, steps=12)).bundle)


@pytest.fixture(scope="session")
def files(bundle: Bundle) -> CheckedFiles:
    return CheckedFiles.of(bundle)


@pytest.fixture
def trt(files: CheckedFiles) -> ModelProto:
    assert files.trt is not None
    return onnx.load_model_from_string(files.trt)
