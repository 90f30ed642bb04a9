"""Edge networks of our own: they build, learn, export and run in integers all through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.config import TrainConfig, validate_config
from edgeseg.errors import TrainError
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels, integer_convolutions
from edgeseg.export.onnxruntime_cpu.normalization_folding import UNIT_STD, fold_std
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.models import MEAN, STD, Network, build_network
from edgeseg.models.arch_names import parse_arch
from edgeseg.models.compatibility import OWN_NETWORKS
from edgeseg.models.edge.ddrnet import ENCODERS as DDRNETS
from edgeseg.models.edge.edgenet import ENCODERS as EDGENETS
from edgeseg.models.edge.edgenet import MergedBranches
from edgeseg.models.edge.stdc import ENCODERS as STDCS
from edgeseg.models.student_networks import STUDENTS, WITHOUT_WEIGHTS, Student
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.exporting import make_site, picture

SMALL = [
    Student("lightfpn_048", "mobilenetv2_035"),
    Student("lraspp", "mobilenetv2_035"),
    Student("stdc", "stdc1_025"),
    Student("ddrnet", "ddrnet_025"),
    Student("edgenet", "edgenet_050"),
]
IMAGES = [picture(seed)[0] for seed in range(4)]  # 64 by 96
every = pytest.mark.parametrize("student", SMALL, ids="/".join)


def normalized(images: list[NDArray[np.uint8]]) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    batch: Tensor = (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255 - mean
    ) / std
    return batch


@every
@pytest.mark.parametrize("size", [(32, 64), (96, 160)])
def test_logits_have_stride_8_and_the_head_a_representation(
    student: Student, size: tuple[int, int]
) -> None:
    network = build_network(*student, 5, "none", 16, size)
    output = network(torch.rand(2, 3, *size))
    assert output.logits.shape == (2, 5, size[0] // 8, size[1] // 8)
    assert output.rep is not None and output.rep.shape == (2, 16, size[0] // 16, size[1] // 16)
    assert network.encoder_channels == tuple(maps.shape[1] for maps in output.features)


@every
def test_decoding_the_encoded_image_is_the_forward_pass(student: Student) -> None:
    network = build_network(*student, 3).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = network.encode(image)
        torch.testing.assert_close(network.decode(features), network(image).logits, rtol=0, atol=0)
        # each map that is perturbed by methods is one that counts
        read = {"lraspp": (3, 5), "lightfpn": (3, 4, 5)}.get(parse_arch(student.arch).decoder)
        for place, maps in enumerate(features[1:], 1):
            if read is None or place in read:
                other = [*features[:place], 2 * maps, *features[place + 1 :]]
                assert not torch.equal(network.decode(other), network.decode(features))


@every
def test_a_gradient_reaches_every_parameter(student: Student) -> None:
    torch.manual_seed(0)
    network = build_network(*student, 3, "none", 16)
    output = network(normalized(IMAGES))
    assert output.rep is not None
    (output.logits.square().mean() + output.rep.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), name
        assert bool(parameter.grad.any()) or parameter.ndim == 1, name


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(4, 4), (4, 6)])
def test_merged_branches_are_one_convolution_with_the_same_result(
    channels: tuple[int, int], stride: int
) -> None:
    torch.manual_seed(0)
    block = MergedBranches(*channels, stride)
    assert (block.shortcut is not None) == (channels == (4, 4) and stride == 1)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight, module.bias):
                assert values is not None
                nn.init.uniform_(values, 0.5, 2.0)
    maps = torch.randn(2, 4, 9, 7)
    with torch.no_grad():
        expected = block.eval()(maps)
        block.reparameterize()
        torch.testing.assert_close(block(maps), expected)
    assert [name for name, _ in block.named_parameters()] == ["merged.weight", "merged.bias"]


@pytest.fixture(scope="module", params=SMALL, ids="/".join)
def learned(request: pytest.FixtureRequest) -> Network:
    """Trained on four pictures for two seconds."""
    torch.manual_seed(0)
    network = build_network(request.param.arch, request.param.encoder, 3).train()
    masks = torch.from_numpy(np.stack([picture(seed)[1] for seed in range(4)])).long()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(60):
        logits = F.interpolate(network(normalized(IMAGES)).logits, scale_factor=8, mode="bilinear")
        loss = F.cross_entropy(logits, masks)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (
        float((logits.argmax(1) == masks).float().mean()) > 0.93
    )  # tiles of 32 pixels, told by color
    return network.eval()


@pytest.fixture(scope="module")
def graph(learned: Network) -> ModelProto:
    plain = Interface(height=64, width=96, classes=3, mean=MEAN, std=STD)
    made, interface = fold_std(
        canonicalize_names(lower(export_network(learned.reparameterized(), 64, 96))), plain
    )
    assert interface == INTERFACE
    return made


INTERFACE = Interface(height=64, width=96, classes=3, mean=MEAN, std=UNIT_STD)


def test_the_graph_agrees_with_torch_on_what_was_learned(
    learned: Network, graph: ModelProto
) -> None:
    data = wrap_network(graph, INTERFACE).SerializeToString()
    assert scan_onnx(data, name="model.onnx").opset == 17
    session = open_session(data, 1)
    with torch.no_grad():
        masks = (
            F.interpolate(learned(normalized(IMAGES)).logits, (64, 96), mode="bilinear")
            .argmax(1)
            .numpy()
        )
    assert len(np.unique(masks)) == 3
    found = np.concatenate([session.run(["mask"], {"image": image[None]})[0] for image in IMAGES])
    assert np.mean(found == masks) > 0.999


@pytest.mark.usefixtures("exact_sums")
def test_all_of_it_runs_on_codes(graph: ModelProto) -> None:
    convolutions = sum(node.op_type == "Conv" for node in graph.graph.node)
    pools = sum(
        node.op_type == "AveragePool" for node in graph.graph.node
    )  # convolutions in the CPU flavour
    resizes = [node for node in graph.graph.node if node.op_type == "Resize"]
    calibrated = calibrate(graph, INTERFACE, IMAGES, threads=1)
    assert len(calibrated.layers) == convolutions > 30
    cpu, trt = (
        quantize(calibrated, INTERFACE, "int8-cpu"),
        quantize(calibrated, INTERFACE, "int8-trt"),
    )
    kernels = inspect_kernels(cpu.SerializeToString())
    assert kernels.quantized == integer_convolutions(cpu) == convolutions + pools
    # The image, and the logits, which three nodes read.
    assert kernels.conversions <= 4 + 2 * len(resizes)
    # TensorRT has no kernel for a mean, nor for 8 channels.
    assert integer_convolutions(trt) > 0.8 * convolutions
    images = [picture(seed)[0][None] for seed in range(8)]
    masks = []
    for model in (wrap_network(graph, INTERFACE), cpu, trt):
        session = open_session(model.SerializeToString(), 1)
        masks.append(
            np.concatenate([session.run(["mask"], {"image": image})[0] for image in images])
        )
    # On pictures half of which it never saw.
    assert min(np.mean(masks[0] == mask) for mask in masks[1:]) > 0.9


@pytest.mark.parametrize(
    ("arch", "encoder", "weights", "size", "text"),
    [
        (
            "stdc",
            "resnet18",
            "none",
            None,
            "arch stdc has encoders of its own and resnet18 is none; take stdc1_100, ",
        ),
        (
            "fpn",
            "ddrnet_050",
            "none",
            None,
            "ddrnet_050 is an encoder of arch ddrnet alone; set arch to ddrnet",
        ),
        (
            "stdc",
            "ddrnet_050",
            "none",
            None,
            "arch stdc has encoders of its own and ddrnet_050 is none",
        ),
        (
            "stdc",
            "stdc1_050",
            "imagenet",
            None,
            "no ImageNet weights of stdc1_050; set weights to none, or",
        ),
        (
            "ddrnet",
            "ddrnet_050",
            "none",
            (48, 64),
            "multiples of 32, and 48x64 is not; set imgsz to 32x64 or 64x64",
        ),
        (
            "lraspp",
            "resnet18",
            "none",
            (40, 64),
            "multiples of 16, and 40x64 is not; set imgsz to 32x64 or 48x64",
        ),
        (
            "lraspp",
            "vit_tiny_patch16_224",
            "none",
            (64, 64),
            "maps all have one size.; set arch to dpt",
        ),
        (
            "lraspp",
            "ghostnet_050",
            "none",
            None,
            "ghostnet_050 .it cannot be dilated.; take arch fpn or unet",
        ),
        ("lrasp", "resnet18", "none", None, "no arch lrasp; did you mean lraspp"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    arch: str, encoder: str, weights: str, size: tuple[int, int] | None, text: str
) -> None:
    with pytest.raises(TrainError, match=text) as caught:
        build_network(arch, encoder, 3, weights, size=size)
    assert "\n" not in str(caught.value)


def test_every_student_of_the_list_can_be_built() -> None:
    assert set(WITHOUT_WEIGHTS) == set(OWN_NETWORKS)
    own = [
        Student(arch, name)
        for arch, names in (("stdc", STDCS), ("ddrnet", DDRNETS), ("edgenet", EDGENETS))
        for name in names
    ]
    with torch.device("meta"):
        for student in {*STUDENTS, *own}:
            network = build_network(*student, 3)
            assert network(torch.empty(2, 3, 64, 96)).logits.shape[:2] == (2, 3)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("students") / "site", val=3, unlabelled=3)


def test_students_are_trained_with_methods_that_perturb_features_and_read_widths(
    site: Site, tmp_path: Path
) -> None:
    for method, student in (("u2pl", SMALL[2]), ("unimatch", SMALL[3])):
        settings = {
            "arch": student.arch,
            "encoder": student.encoder,
            "weights": "none",
            "imgsz": [64, 96],
            "batch": 2,
            "batch_unlabelled": 2,
            "steps": 2,
            "eval_every": 2,
            "checkpoint_every": 2,
            "rep_dim": 16,
            "workers": 1,
            "precision": "32",
            "device": "cpu",
            "method": method,
            "warmup": 0,
            "ramp": 0,
        }
        result = train(site, validate_config(TrainConfig, settings, "test"), tmp_path / method)
        assert np.isfinite(result.miou)
