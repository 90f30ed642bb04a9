"""Methods with settings of their own as rows of a comparison."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from edgeseg.cli.shared.console import console
from edgeseg.cli.training.compare import _print_result, choose_methods
from edgeseg.compare.comparison import ComparisonResult
from edgeseg.compare.comparison_folder import claim_folder, load_stored_plan
from edgeseg.compare.plan import plan_comparison
from edgeseg.compare.recommendation import recommend_method
from edgeseg.compare.seed_noise import SeedNoise
from edgeseg.compare.variants import (
    FILE_NAME_LENGTH,
    parse_variant,
    split_variants,
    variant_folder_name,
)
from edgeseg.errors import ConfigError
from edgeseg.site import Site
from tests.helpers.comparison import method_result, tiny_config


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("suponly", "suponly"),
        ("mt", "mean_teacher"),
        (" suponly[ ema = 0.0, class_balance=0 ]", "suponly[class_balance=0,ema=0]"),
        ("suponly[train.ema=0]", "suponly[ema=0]"),
        ("cutmix[scale=[0.75, 2.0]]", "cutmix_mt[scale=[0.75,2]]"),
        ("cutmix_mt[strong=false,teacher=ema]", "cutmix_mt[strong=false,teacher=ema]"),
        ("u2pl[u2pl.anchors=64]", "u2pl[u2pl.anchors=64]"),
        ("cutmix_mt[plugins=['ael']]", 'cutmix_mt[plugins=["ael"]]'),
        ("cutmix_mt[weights='a, [b].safetensors']", 'cutmix_mt[weights="a, [b].safetensors"]'),
        ("suponly[encoder_lr=1e-5]", "suponly[encoder_lr=1e-05]"),
    ],
)
def test_a_variant_has_one_name_from_which_it_is_read_again(text: str, name: str) -> None:
    variant = parse_variant(text, tiny_config())
    assert variant.name == name and parse_variant(name, tiny_config()) == variant
    folder = variant_folder_name(name)
    assert shlex.quote(folder) == folder and "/" not in folder


def test_only_commas_outside_of_brackets_and_quotes_separate() -> None:
    assert split_variants("a, b[c=1,d=[2,3]] ,e[f='],']") == ["a", "b[c=1,d=[2,3]]", "e[f='],']"]
    assert choose_methods("all,suponly[ema=0]", {"a": "", "b": "cannot"}) == ["a", "suponly[ema=0]"]


def test_folders_of_different_variants_differ() -> None:
    assert variant_folder_name("suponly[class_balance=0,ema=0]") == "suponly+class_balance=0+ema=0"
    names = ['a[weights="x/y"]', 'a[weights="x_y"]', 'a[weights="x:y"]', "a[weights=x_y]"]
    long = [f"a[weights={'w' * 300}{end}]" for end in "xy"]
    folders = {variant_folder_name(name) for name in [*names, *long]}
    assert len(folders) == 6 and all(len(folder) <= FILE_NAME_LENGTH + 9 for folder in folders)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u3pl[ema=0]", "there is no method u3pl; choose among suponly"),
        ("suponly[ema=2]", "suponly[ema=2] has 1 mistake(s): ema: Input should be less than 1"),
        ("suponly[emma=0]", "emma: Extra inputs are not permitted"),
        ("suponly[u3pl.alpha=0]", "train has no table u3pl"),
        ("u2pl[u2pl={alpha=0.1}]", "train.u2pl is a table; give its keys one by one"),
        ("suponly[ema=0", "write it like 'suponly[ema=0,class_balance=0]', in quotes"),
        ("suponly[]", "is no method with settings"),
        ("suponly[ema]", "'ema' in suponly[ema] is not KEY=VALUE"),
        ("suponly[ema=0,ema=0.5]", "has the setting twice"),
        ("suponly[seed=1]", "cannot have its own train.seed: every row has the same seeds"),
        ("suponly[method=u2pl]", "the method stands before the bracket"),
        ("suponly[train.steps=9]", "train.steps: methods are compared at one budget"),
    ],
)
def test_what_cannot_be_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_variant(text, tiny_config())
    assert message in str(caught.value)


def test_runs_have_the_settings_of_their_rows_and_are_kept_apart(site: Site) -> None:
    names = ["suponly[ema=0,class_balance=0]", "suponly[class_balance=0.0,ema=0]", "u2pl"]
    config = tiny_config(plugins=["ael"])
    plan = plan_comparison(site, config, [*names, "u2pl[plugins=[],u2pl.anchors=9]"], 2)
    floor = "suponly[class_balance=0,ema=0]"
    assert plan.methods == ("suponly", floor, "u2pl", "u2pl[plugins=[],u2pl.anchors=9]")
    jobs = {job.out.name: job for job in plan.jobs(site.root, site.root / "out")}
    assert len(jobs) == 8
    own = jobs["suponly+class_balance=0+ema=0-1"]
    assert (own.config.ema, own.config.class_balance, own.config.seed) == (0, 0, 1)
    assert (own.config.method, own.method) == ("suponly", floor)
    assert own.name == f"{floor} seed 1"
    plain = jobs["suponly-1"].config
    assert (plain.ema, plain.class_balance) == (config.ema, config.class_balance)
    assert jobs["u2pl-0"].config.plugins == ("ael",)
    last = [job.config for job in jobs.values() if job.config.u2pl.anchors == 9]
    assert [each.plugins for each in last] == [(), ()]
    out = site.root / "runs" / "compare" / "exp1"
    claim_folder(site, plan, out, resume=False)
    assert load_stored_plan(out) == (plan.methods, 2)
    again = plan_comparison(site, config, load_stored_plan(out)[0], 2)
    claim_folder(site, again, out, resume=True)
    assert again.methods == plan.methods


def test_a_network_that_cannot_be_built_is_told_before_anything_is_trained(site: Site) -> None:
    with pytest.raises(Exception, match="nosuchnet"):
        plan_comparison(site, tiny_config(), ["suponly[encoder=nosuchnet]"], 1)


def test_floors_with_other_settings_need_no_footage(site: Site) -> None:
    site.save_frames([frame for frame in site.frames() if frame.split != "unlabelled"])
    assert len(plan_comparison(site, tiny_config(), ["suponly[ema=0]"], 1).methods) == 2


def test_a_long_name_does_not_cut_the_figures_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    rows = [method_result("suponly", [50, 51]), method_result(f"a[weights={'w' * 90}]", [60, 61])]
    recommendation = recommend_method(rows)
    result = ComparisonResult(tmp_path, rows, recommendation, ["c0"], {}, None)
    _print_result(result, as_json=False)
    shown = capsys.readouterr().err
    lines = [line.split() for line in shown.splitlines()]
    assert ["suponly", "50.50", "0.71"] in [line[:3] for line in lines]
    assert ["60.50", "0.71", "-", "+10.00"] in [line[1:5] for line in lines]


# The recommendation.


def test_another_floor_shows_the_gain_and_changes_neither_choice_nor_chance() -> None:
    results = [method_result("suponly", [50, 51, 52]), method_result("a", [60, 61, 62])]
    weak = method_result("suponly[ema=0]", [40, 48, 47])
    without, beside = recommend_method(results), recommend_method([*results, weak])
    assert (beside.method, beside.noise) == (without.method, without.noise)
    assert any("a beside other floors: +16.0 over suponly[ema=0]" in t for t in beside.sentences)
    assert set(without.sentences) < set(beside.sentences)


def test_a_better_floor_is_said_but_not_taken() -> None:
    results = [method_result("suponly", [50, 51, 52]), method_result("a", [60, 61, 62])]
    better = method_result("suponly[class_balance=0]", [64, 65, 66])
    recommendation = recommend_method([*results, better])
    assert recommendation.method == "a"
    said = " ".join(recommendation.sentences)
    assert "suponly[class_balance=0] has the higher mean: give its settings to all rows" in said
    alone = recommend_method([results[0], better])
    assert alone.method == "suponly" and "nothing to compare it with" in alone.sentences[0]
    assert "-14.0 over suponly[class_balance=0]" in alone.sentences[1]


def test_a_variant_of_another_method_is_a_rival() -> None:
    results = [
        method_result("suponly", [50, 51, 52]),
        method_result("a", [60, 61, 62]),
        method_result("a[warmup=0.05]", [66, 67, 68]),
    ]
    recommendation = recommend_method(results)
    assert recommendation.method == "a[warmup=0.05]"
    assert SeedNoise.estimate(results).rivals == 2
    assert 'put them into edgeseg.toml, with method = "a"' in recommendation.sentences[1]
