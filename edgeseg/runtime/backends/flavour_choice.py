"""Which file of a bundle a back end runs, and the checks before it may."""

from __future__ import annotations

from edgeseg.bundle import GRAPHS, Bundle, Flavour
from edgeseg.bundle.io_spec import GraphSignature
from edgeseg.bundle.onnx_scan import scan
from edgeseg.errors import BundleError
from edgeseg.runtime.backends.base import Backend, Precision

INT8: dict[Backend, Flavour] = {  # CUDA has no INT8 kernels for such files
    "cpu": "int8-cpu",
    "tensorrt": "int8-trt",
    "ort-tensorrt": "int8-trt",
}


RUNS: dict[Backend, tuple[Flavour, ...]] = {
    "cpu": ("fp32", "int8-cpu"),
    "cuda": ("fp32", "fp16"),
    "tensorrt": ("fp32", "fp16", "int8-trt"),
    "ort-tensorrt": ("fp32", "fp16", "int8-trt"),
}


def read_checked_graph(bundle: Bundle, flavour: Flavour) -> bytes:
    """The bytes of a graph that an engine may be given.

    Raises:
        BundleError: they are damaged, dangerous, of another flavour, or not what the manifest says.
    """
    name = GRAPHS[flavour]
    data, where = bundle.read(name), str(bundle.path / name)
    GraphSignature.of(bundle.manifest).check(scan(data, name=where, flavour=flavour), where)
    return data


def choose_flavour(bundle: Bundle, backend: Backend, precision: Precision | Flavour) -> Flavour:
    """The file of the bundle that `backend` should run at `precision`.

    Raises:
        BundleError: there is none, or it is of another back end's flavour.
    """
    held = [flavour for flavour, name in GRAPHS.items() if name in bundle.manifest.files]
    if precision == "auto":
        wanted = INT8.get(backend)
        if wanted in held and bundle.speedup(wanted) >= 1:
            return wanted
        return "fp16" if "fp16" in RUNS[backend] and "fp16" in held else "fp32"
    flavour = INT8.get(backend, "int8-trt") if precision == "int8" else precision
    if flavour not in RUNS[backend]:
        raise BundleError(
            f"{bundle.path} cannot run {precision} on {backend}, which runs {', '.join(RUNS[backend])}; "
            "choose another --precision or --backend"
        )
    if flavour not in held:
        others = sorted(set(held) & {"int8-cpu", "int8-trt"})
        hint = (
            f" (its {GRAPHS[others[0]]} is made for another engine)"
            if precision == "int8" and others
            else ""
        )
        raise BundleError(
            f"{bundle.path} holds no {GRAPHS[flavour]}{hint}; export it again with {_option(flavour)}, "
            "or use --precision fp32"
        )
    return flavour


def _option(flavour: Flavour) -> str:
    return "--half" if flavour == "fp16" else "--int8"
