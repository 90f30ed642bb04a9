"""The whole export on a small site: a bundle that devices run, with true figures, and gates that
hold.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from torch import nn
from typer.testing import CliRunner

from edgeseg.atomic_files import write_atomic
from edgeseg.bundle import Bundle
from edgeseg.cli.app import app
from edgeseg.config import ExportConfig
from edgeseg.errors import ExportError
from edgeseg.export.exporter import ExportResult, export
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.quantization.recipe import QuantizationRecipe, RecipeResult, SearchResult
from edgeseg.installation import WHEEL
from edgeseg.metrics import miou
from edgeseg.models.model_files import load_model
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site
from edgeseg.training.model_evaluation import evaluate_frames
from tests.helpers.exporting import HEIGHT, WIDTH, make_run, make_site

CONFIG = ExportConfig(
    int8=True,
    half=True,
    max_drop=100,
    max_class_drop=100,
    min_speedup=0,
    calibration_frames=6,
    threads=1,
    ask_tensorrt=False,
)
UNASKED = "--set=export.ask_tensorrt=false"  # tests/export/checklist has them asked
LENIENT = ["--max-drop", "100", "--max-class-drop", "100", "--min-speedup", "0"]
TRACED: dict[tuple[int, int], ModelProto] = {}


@pytest.fixture(autouse=True)
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests, which share one network, the seconds that each tracing takes."""

    def cached(network: nn.Module, height: int, width: int) -> ModelProto:
        if (height, width) not in TRACED:
            TRACED[height, width] = export_network(network, height, width)
        return TRACED[height, width]

    monkeypatch.setattr("edgeseg.export.exporter.export_network", cached)


@dataclasses.dataclass(frozen=True)
class Done:
    site: Site
    run: Path
    result: ExportResult

    @property
    def bundle(self) -> Bundle:
        return Bundle.open(self.result.bundle)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    site = make_site(tmp_path_factory.mktemp("export") / "site")
    run = make_run(site)
    return Done(site, run, export(site, CONFIG, run, seq=7))


@pytest.fixture
def copy(done: Done, tmp_path: Path) -> tuple[Site, Path]:
    """The site and its run, free to be changed, without bundles."""
    shutil.copytree(done.site.root, tmp_path / "site", ignore=shutil.ignore_patterns("bundles"))
    return Site.open(tmp_path / "site"), tmp_path / "site" / "runs" / "distill" / "exp1"


def test_the_bundle_is_complete_and_sound(done: Done) -> None:
    bundle = done.bundle
    bundle.verify()
    assert set(bundle.manifest.files) == {
        "model.onnx",
        "model.int8-cpu.onnx",
        "model.int8-trt.onnx",
        "model.fp16.onnx",
        "calibration.json",
        "golden.npz",
        "card.md",
    }
    assert not done.result.refused
    assert bundle.path.parent == done.site.root / "bundles" and bundle.path.name.startswith(
        "distill-exp1-"
    )
    manifest = bundle.manifest
    assert manifest.seq == 7 and (manifest.height, manifest.width) == (HEIGHT, WIDTH)
    assert (manifest.entropy_height, manifest.entropy_width) == (HEIGHT // 4, WIDTH // 4)
    assert (
        manifest.provenance["run"] == "runs/distill/exp1"
        and manifest.provenance["method"] == "distill"
    )
    assert str(done.site.root) not in (bundle.path / "manifest.json").read_text()
    assert str(done.site.root) not in bundle.read("card.md").decode()


def frames_of(site: Site) -> NDArray[np.uint8]:
    read = [cv2.imread(str(site.path(frame.image))) for frame in site.frames("val")]
    return np.stack([image[..., ::-1] for image in read if image is not None])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_device_runs_it_and_scores_are_about_alpha(done: Done, precision: Any) -> None:
    with open_runner(done.result.bundle, backend="cpu", precision=precision, threads=1) as run:
        prediction = run(frames_of(done.site))
    manifest = done.bundle.manifest
    gamma = np.float32(
        manifest.gamma if precision == "fp32" else manifest.figures["int8-cpu"]["gamma"]
    )
    unreliable = float(np.mean(prediction.entropy > gamma))
    assert prediction.score == pytest.approx(
        np.mean(prediction.entropy > gamma, axis=(1, 2)), abs=1e-6
    )
    assert unreliable == pytest.approx(0.2, abs=0.002)  # fitted on the very file that ships
    assert np.mean(prediction.score <= manifest.log_threshold + 1e-6) >= 0.6
    np.testing.assert_allclose(prediction.area.sum(1), 1, atol=1e-5)


def test_the_figures_are_those_of_the_common_evaluation(done: Done) -> None:
    counts = evaluate_frames(load_model(done.run), done.site, done.site.frames("val"))
    figures = done.bundle.manifest.figures
    assert figures["torch"]["miou"] == pytest.approx(miou(counts.sum(0)), abs=1e-3)
    assert figures["fp32"]["miou"] == pytest.approx(figures["torch"]["miou"], abs=0.1)
    assert figures["fp32"]["agreement"] > 99.9 and figures["int8-cpu"]["agreement"] > 90
    assert figures["torch"]["miou"] > 60  # it has learned something, so agreement means something
    assert figures["int8-cpu"]["quantised"] == figures["int8-cpu"]["convolutions"] > 50
    ratios = [figures["fp32"][name] / figures["int8-cpu"][name] for name in ("ms", "ms_median")]
    assert figures["int8-cpu"]["speedup"] == pytest.approx(min(ratios), rel=0.01)
    assert "speedup" not in figures["fp16"]
    low, high = figures["int8-cpu"]["drop_interval"]
    assert low <= figures["int8-cpu"]["drop"] <= high


def test_the_golden_masks_are_what_the_file_gives(done: Done) -> None:
    with np.load(io.BytesIO(done.bundle.read("golden.npz")), allow_pickle=False) as golden:
        frames, masks = golden["frames"], golden["masks"]
    assert frames.shape == (5, HEIGHT, WIDTH, 3) and masks.shape == (5, HEIGHT, WIDTH)
    with open_runner(done.result.bundle, backend="cpu", precision="fp32", threads=1) as run:
        np.testing.assert_array_equal(run(frames).mask, masks)


def test_calibration_is_recorded_and_saw_no_val_frame(done: Done) -> None:
    record = json.loads(done.bundle.read("calibration.json"))
    splits = {frame.id: frame.split for frame in done.site.frames()}
    assert len(record["frames"]) == 6 and {splits[frame["id"]] for frame in record["frames"]} == {
        "unlabelled"
    }
    assert record["source"] == done.bundle.manifest.files["model.onnx"].sha256
    assert set(record["flavours"]) == {"int8-cpu", "int8-trt"}
    for flavour in record["flavours"].values():
        assert flavour["ranges"] and all(
            low <= 0 <= high for low, high in flavour["ranges"].values()
        )


def test_the_card_names_figures_and_terms(done: Done) -> None:
    text = done.bundle.read("card.md").decode()
    assert "INT8 (CPU)" in text and "## Terms" in text and "started from random weights" in text
    assert f'pip install "./{WHEEL}[device]"' in text
    for name in ("sky", "water", "bank"):
        assert f"| {name} |" in text


def test_the_same_run_gives_the_same_graphs_and_leaves_the_bundle_alone(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.export.exporter.export_network", export_network)  # traced anew
    before = (done.result.bundle / "manifest.json").read_bytes()
    again = export(done.site, CONFIG, done.run, seq=8)
    assert again.bundle == done.result.bundle
    assert (done.result.bundle / "manifest.json").read_bytes() == before


def test_a_slow_int8_file_is_refused_by_name_and_the_rest_is_written(
    copy: tuple[Site, Path], tmp_path: Path
) -> None:
    site, run = copy
    config = CONFIG.model_copy(update={"half": False, "min_speedup": 1000.0})
    result = export(site, config, run, tmp_path / "out")
    assert (
        len(result.refused) == 1
        and "model.int8-cpu.onnx" in result.refused[0]
        and "--min-speedup 1000" in result.refused[0]
    )
    bundle = Bundle.open(tmp_path / "out")
    bundle.verify()
    assert set(bundle.manifest.files) == {
        "model.onnx",
        "model.int8-trt.onnx",
        "calibration.json",
        "golden.npz",
        "card.md",
    }  # how fast a CPU is says nothing about TensorRT
    assert bundle.manifest.figures["int8-cpu"]["refused"] == result.refused[0]
    assert "## Refused" in bundle.read("card.md").decode()


@pytest.mark.parametrize("strategy", ["kcentre", "classes"])
def test_frames_may_be_chosen_by_what_the_model_sees(
    copy: tuple[Site, Path], tmp_path: Path, strategy: Literal["kcentre", "classes"]
) -> None:
    site, run = copy
    config = CONFIG.model_copy(
        update={"half": False, "calibration": strategy, "calibration_frames": 3, "hard_share": 0.34}
    )
    record = json.loads(
        Bundle.open(export(site, config, run, tmp_path / "out").bundle).read("calibration.json")
    )
    assert len(record["frames"]) == 3 and {frame["split"] for frame in record["frames"]} == {
        "unlabelled"
    }


def test_the_report_shows_every_step_and_the_worst_frames(
    copy: tuple[Site, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, _ = copy
    monkeypatch.chdir(site.root)
    flags = [
        f"--set=export.{key}={json.dumps(value)}"
        for key, value in CONFIG.model_dump(exclude_defaults=True).items()
    ]
    result = CliRunner().invoke(app, ["export", *flags])
    assert result.exit_code == 0, result.output
    folder = site.root / "runs" / "export" / "exp1"
    assert str(folder / "report.html") in result.stderr.replace("\n", "")
    page = (folder / "report.html").read_text()
    for words in (
        "INT8 (CPU)",
        "INT8 (TensorRT)",
        "FP16",
        "agreement at borders",
        "How INT8 (CPU) was made",
        "What INT8 (CPU) takes for what",
        "share of right pixels over confidence",
        "mse",
    ):
        assert words in page
    assert page.count("data:image/") == 3 * 4 * 5  # files, frames, pictures of each
    found = json.loads((folder / "metrics.json").read_bytes())["figures"]
    for flavour in ("int8-cpu", "int8-trt"):
        assert (
            found[flavour]["sqnr"] > 10
            and found[flavour]["boundary_agreement"] <= found[flavour]["agreement"]
        )
        assert (
            found[flavour]["ladder"][0]["rung"] == "mse"
            and 0 <= found[flavour]["calibration_error"] <= 100
        )
    assert "int8 = true" in (folder / "config.toml").read_text()


def test_a_ladder_is_climbed_to_its_end_when_nothing_is_good_enough(
    copy: tuple[Site, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, run = copy
    monkeypatch.setattr(
        "edgeseg.export.quantization.recipe_search.accuracy_faults",
        lambda *_: [("it is never good enough", "give up")],
    )
    config = CONFIG.model_copy(update={"half": False, "qat": True, "qat_steps": 2})
    result = export(site, config, run, tmp_path / "out")
    for flavour in ("int8-cpu", "int8-trt"):
        tried = [rung["rung"] for rung in result.figures[flavour]["ladder"]]
        assert tried[:4] == ["mse", "percentile", "entropy", "minmax"] and tried[4].endswith(
            ", bias corrected"
        )
        assert tried[-1].endswith("trained for 2 steps") and any("float" in name for name in tried)


def test_what_is_left_after_all_rungs_failed_is_what_misses_the_gates_by_least() -> None:
    nothing: Any = None
    climb = SearchResult(ExportConfig())
    tried = (
        ("mse", 0.2, 1.4, 99.9),
        ("percentile", 0.4, 0.9, 99.7),
        ("entropy", 0.3, 1.02, 99.5),
        ("minmax", 0.1, 1.02, 98.0),
    )
    for estimator, drop, worst, agreement in tried:
        figures = {
            "drop": drop,
            "worst_class": {"name": "car", "drop": worst},
            "agreement": agreement,
        }
        climb.results.append(
            RecipeResult(QuantizationRecipe(estimator), nothing, nothing, nothing, figures, 1.0)
        )
    assert climb.best.recipe.estimator == "entropy"  # 0.02 beyond as minmax is, and agrees better
    climb.passed = True
    assert climb.best is climb.results[-1]


def test_another_size_is_exported_and_measured_at_the_frames_own(
    copy: tuple[Site, Path], tmp_path: Path
) -> None:
    site, run = copy
    export(site, ExportConfig(imgsz=(32, 64), threads=1, ask_tensorrt=False), run, tmp_path / "out")
    manifest = Bundle.open(tmp_path / "out").manifest
    assert (manifest.height, manifest.width, manifest.entropy_height) == (32, 64, 8)
    assert set(manifest.figures) == {"torch", "fp32"}


def test_too_few_val_frames(tmp_path: Path, done: Done) -> None:
    site = make_site(tmp_path / "site", val=2)
    shutil.copytree(done.run, tmp_path / "run")
    with pytest.raises(ExportError, match=r"2 val frames .*edgeseg add labels"):
        export(site, CONFIG, tmp_path / "run", tmp_path / "out")


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_no_bundle_is_not_replaced(
    copy: tuple[Site, Path], tmp_path: Path, kind: str
) -> None:
    site, run = copy
    target = tmp_path / "precious"
    if kind == "folder":
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    elif kind == "file":
        target.write_text("years of work")
    else:
        target.symlink_to(tmp_path)
    with pytest.raises(ExportError, match="--output"):
        export(site, CONFIG, run, target)
    assert target.exists()


def test_other_classes_than_the_sites_are_refused(copy: tuple[Site, Path], tmp_path: Path) -> None:
    site, run = copy
    card = json.loads((run / "model.json").read_text())
    card["classes"][0]["name"] = "heaven"
    (run / "model.json").write_text(json.dumps(card))
    with pytest.raises(ExportError, match="other classes"):
        export(site, CONFIG, run, tmp_path / "out")


def test_an_export_that_dies_while_writing_leaves_nothing_or_the_old_bundle(
    copy: tuple[Site, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, run = copy
    quick = ExportConfig(threads=1, ask_tensorrt=False)

    def die(path: Path, data: bytes) -> None:
        if path.name == "manifest.json":
            raise KeyboardInterrupt
        write_atomic(path, data)

    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.bundle.bundle.write_atomic", die)
        with pytest.raises(KeyboardInterrupt):
            export(site, quick, run, tmp_path / "bundles" / "out")
    assert list((tmp_path / "bundles").iterdir()) == []
    (tmp_path / "bundles" / ".out.1234.tmp").mkdir()  # what kill -9 leaves
    export(site, quick, run, tmp_path / "bundles" / "out")
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["out"]


def test_the_command_publishes_the_first_bundle_and_says_where_it_is(
    copy: tuple[Site, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, _ = copy
    monkeypatch.chdir(site.root)
    arguments = ["export", "--json", "--set=export.threads=1", UNASKED]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert (
        site.current_bundle.resolve() == Path(found["bundle"])
        and found["figures"]["fp32"]["miou"] > 60
    )
    assert "Next: edgeseg infer" in first.stderr and "agreement" in first.stderr
    held = site.current_bundle.resolve()
    second = CliRunner().invoke(app, [*arguments, "--int8", *LENIENT])
    assert second.exit_code == 0 and site.current_bundle.resolve() == held
    assert Bundle.open(Path(json.loads(second.stdout)["bundle"])).manifest.seq == 2
    third = CliRunner().invoke(app, [*arguments, "--int8", *LENIENT, "--publish"])
    assert (
        third.exit_code == 0
        and site.current_bundle.resolve() == Path(json.loads(third.stdout)["bundle"]) != held
    )
    back = CliRunner().invoke(app, ["adapt", "--rollback"])
    assert back.exit_code == 0 and site.current_bundle.resolve() == held


def test_the_command_fails_when_a_file_is_refused(
    copy: tuple[Site, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, _ = copy
    monkeypatch.chdir(site.root)
    result = CliRunner().invoke(
        app, ["export", "--int8", *LENIENT[:4], "--min-speedup=1000", UNASKED]
    )
    assert result.exit_code == 1 and "model.int8-cpu.onnx was refused" in result.stderr.replace(
        "\n", " "
    )
    assert "Traceback" not in result.output and not site.current_bundle.exists()
    assert len(list((site.root / "bundles").glob("distill-exp1-*"))) == 1


def test_flags_that_disagree(
    copy: tuple[Site, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(copy[0].root)
    result = CliRunner().invoke(app, ["export", "--publish", "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
