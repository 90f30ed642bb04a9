"""One exported bundle for all tests of the checklist, and a stand-in for NVIDIA's parser."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from edgeseg.bundle import Bundle
from edgeseg.export.exporter import export
from edgeseg.export.tensorrt.checklist import CheckedFiles
from tests.helpers.checklist import CONFIG
from tests.helpers.exporting import make_run, make_site

# A module in the place of TensorRT for RTX; what it does is written in the file that it reads.
STAND_IN = """
import enum, os, time
__version__ = "9.9"
class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)
class ComputeCapability(enum.Enum):
    NONE, CURRENT, SM75, SM86 = range(4)
class BuilderFlag: pass
class NetworkDefinitionCreationFlag: STRONGLY_TYPED = 1
class MemoryPoolType: WORKSPACE = 0
class ProfilingVerbosity: DETAILED = 0
class IRuntimeCache: pass
class Configuration:
    def set_memory_pool_limit(self, pool, size): pass
    def set_compute_capability(self, target, place):
        self.target = target
        return True
class Network:
    num_layers = 7
class Builder:
    def __init__(self, logger): self.logger = logger
    def create_network(self, flags): return Network()
    def create_builder_config(self): return Configuration()
    def build_serialized_network(self, network, config):
        words = network.data[:20].decode(errors="replace").split()
        for word in words:
            getattr(self, word, self.fine)(config)
        return None if "refuse" in words else b"engine"
    def fine(self, config): pass
    def hang(self, config): time.sleep(60)
    def abort(self, config): os.abort()
    def later(self, config): config.target is ComputeCapability.SM86 and os.abort()
    def greedy(self, config):
        held = []
        while True: held.append(b"x" * (20 << 20)); time.sleep(0.02)
    def warn(self, config):
        self.logger.log(ILogger.WARNING, "weights were\\nclamped")
        self.logger.log(ILogger.WARNING, "CUDA initialization failure with error: 35")
    def refuse(self, config): self.logger.log(ILogger.ERROR, f"no kernel for {config.target.name}")
class ParserError:
    def desc(self): return "no importer registered for Frobnicate"
    def node(self): return 3
    def node_name(self): return "layer3"
    def node_operator(self): return "Frobnicate"
    def code(self): return 8
class OnnxParser:
    num_errors = 1
    def __init__(self, network, logger): self.network = network
    def parse(self, data): self.network.data = data; return data != b"unknown"
    def get_error(self, place): return ParserError()
"""


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


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files; the stand-in is the one library that is installed."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "tensorrt_rtx.py").write_text(STAND_IN)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    return tmp_path / "tmp"
