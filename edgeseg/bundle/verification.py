"""The verification of a bundle: nothing of it reaches an engine before it passed all of this.

1. `Bundle.open` (`edgeseg.bundle.bundle`) reads the manifest: a format that this version knows, no
   file that a bundle does not have, every file there in its exact size.
2. `Bundle.read` compares the sha256 of a file with the manifest and returns those same bytes, so
   that what was checked is what runs, whatever happens to the file afterwards.
3. `edgeseg.bundle.onnx_scan` walks over an ONNX file: no weights in other files, no foreign
   operators, nothing that branches, and the flavour that its metadata name is the one asked for.
4. `edgeseg.bundle.graph_signature` compares inputs and outputs with the manifest.
5. On the device `edgeseg.bundle.golden_frames` tells whether an engine computes what the exporting
   machine did.

`read_verified_graph` does steps 2 to 4 for one graph, and is how every back end gets its bytes.
How far an exported file agrees with torch is measured at export, in
`edgeseg.export.evaluation.parity`.
"""

from __future__ import annotations

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.bundle.onnx_scan import scan_onnx


def read_verified_graph(bundle: Bundle, flavour: Flavour) -> bytes:
    """Return the bytes of a graph that an engine may be given.

    Raises:
        BundleError: They are damaged, dangerous, of another flavour, or not what the manifest says.
    """
    file = FLAVOURS[flavour].file
    data, path = bundle.read(file), str(bundle.path / file)
    graph = scan_onnx(data, name=path, flavour=flavour)
    GraphSignature.of(bundle.manifest).check(graph, path)
    return data
