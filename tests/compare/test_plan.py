"""The plan of a comparison, before anything is written."""

from __future__ import annotations

import pytest

from edgeseg.cli.training.compare import choose_methods
from edgeseg.compare.plan import idle_settings, method_obstacles, plan_comparison
from edgeseg.config import METHOD_NAMES
from edgeseg.errors import ConfigError
from edgeseg.site import Site
from tests.helpers.comparison import tiny_config


@pytest.mark.parametrize(
    ("device", "at_once", "named", "expected"),
    [
        ("auto", 2, None, ("0", "1")),
        ("cuda", 3, "3,GPU-5", ("3", "GPU-5")),
        ("auto", 1, None, ()),
        ("cpu", 2, None, ()),
    ],
)
def test_gpus_are_those_that_the_command_sees(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    at_once: int,
    named: str | None,
    expected: tuple[str, ...],
) -> None:
    """Two GPUs are pretended; there is none here."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert (
        plan_comparison(site, tiny_config(device=device), ["suponly"], 1, jobs=at_once).gpus
        == expected
    )


def test_every_method_that_works_here_can_be_asked_for_at_once(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    able = method_obstacles(tiny_config(), 3)
    assert choose_methods("all", able) == list(METHOD_NAMES)
    assert choose_methods(" a, b,", able) == ["a", "b"] and choose_methods(None, able) == []
    names = choose_methods("all", method_obstacles(tiny_config(), 2))
    assert set(METHOD_NAMES) - set(names) == {"fpl_cps", "fpl_cps_cutmix", "fpl_ael"}
    assert "left out: fpl_cps needs at least 3 classes" in " ".join(capsys.readouterr().err.split())
    assert plan_comparison(site, tiny_config(), ["mt", "st++", "mean_teacher"], 1).methods == (
        "suponly",
        "mean_teacher",
        "stpp",
    )


def test_only_methods_that_label_online_get_the_plugins(site: Site) -> None:
    expected = plan_comparison(site, tiny_config(plugins=["ael"]), ["cutmix_mt", "st"], 1)
    found = {
        job.config.method: job.config.plugins for job in expected.jobs(site.root, site.root / "out")
    }
    assert found == {"suponly": (), "cutmix_mt": ("ael",), "st": ()}


def test_common_settings_that_do_nothing_are_told_and_own_ones_refused(site: Site) -> None:
    """The methods share one edgeseg.toml; what stands in brackets is for one method alone."""
    config = tiny_config(confidence=0.9, warmup=0.3)
    plan = plan_comparison(site, config, ["cutmix_mt", "u2pl", "stpp", "u2pl[ema=0.9]"], 1)
    assert [text for text in idle_settings(plan) if "rep_dim" not in text] == [
        "train.confidence = 0.9 does nothing in u2pl, stpp, u2pl[ema=0.9]",
        "train.warmup = 0.3 does nothing in stpp",
    ]
    with pytest.raises(ConfigError, match=r"train.confidence does nothing in u2pl"):
        plan_comparison(site, tiny_config(), ["u2pl[confidence=0.9]"], 1)
    assert plan_comparison(site, config, ["cutmix_mt[confidence=0.5]"], 1).methods[1]
