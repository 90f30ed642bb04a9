"""What a real `edgeseg infer` writes as JSON is what the schemas say, and they refuse the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.json_text import to_json
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.written_formats import WRITTEN_FORMATS, json_schema
from tests.helpers.bundles import make_bundle, painted

OLD = Path(__file__).parents[1] / "golden" / "dd65a29"


def check(name: str, value: object) -> None:
    """Fail where a value is not what its schema says, or holds a key that the schema has not."""
    schema = json_schema(name) | {"additionalProperties": False}
    Draft202012Validator(schema).validate(value)


def strict(text: str) -> Any:  # Any: whatever the text holds
    """The value of a JSON text without NaN and Infinity."""
    return json.loads(text, parse_constant=pytest.fail)


def headers(log: Path) -> Iterator[Any]:  # Any: JSON
    """The headers of a frame log's records, read as docs/formats/frame-log.md tells."""
    for path in iter_records(log):
        data = path.read_bytes()
        yield strict(data[8 : 8 + int.from_bytes(data[4:8], "little")].decode("ascii"))


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_schemas_are_schemas_and_every_key_has_a_meaning(name: str) -> None:
    schema = json_schema(name)
    Draft202012Validator.check_schema(schema)
    for table in (schema, *schema.get("$defs", {}).values()):
        assert table["description"] and "Attributes:" not in table["description"]
        for key, of_key in table["properties"].items():
            assert of_key.get("description"), key


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_what_infer_writes(fit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_bundle(tmp_path / "bundle", fit=fit)
    footage = tmp_path / "footage"
    footage.mkdir()
    generator = np.random.default_rng(0)
    for number, size in enumerate([(64, 96), (90, 70), (80, 200)]):
        picture = painted(generator.integers(0, 4, (3, 4)), *size)[..., ::-1]
        cv2.imwrite(str(footage / f"{number}.png"), picture)
    (footage / "3.png").write_bytes(b"no picture")
    keep_all = ["--set", "log.threshold=0", "--set", "log.min_free_bytes=0"]
    arguments = ["infer", "bundle", "--source", "footage", "--masks", "auto", "--log", "auto"]
    result = CliRunner().invoke(app, [*arguments, "--json", *keep_all])
    assert result.exit_code == 0, result.output
    lines = [strict(line) for line in result.stdout.splitlines()]
    assert [line["name"] for line in lines] == ["0", "1", "2"]
    for line in lines:
        check("frame-line", line)
    run = tmp_path / "runs" / "infer" / "exp1"
    metrics = strict((run / "metrics.json").read_text())
    check("infer-metrics", metrics)
    assert metrics["frames"] == 3 and metrics["unreadable"] and metrics["stages_ms"]
    logged = list(headers(run / "log"))
    assert logged and metrics["logged"] == len(logged)
    for header in logged:
        check("record-header", header)
    check("manifest", strict((tmp_path / "bundle" / "manifest.json").read_text()))


def test_what_an_early_version_wrote() -> None:
    for path in sorted(OLD.rglob("manifest.json")):
        check("manifest", strict(path.read_text()))
    old = list(headers(OLD / "log"))
    assert len(old) == 6
    for header in old:
        check("record-header", header)


def test_schemas_refuse_what_is_wrong() -> None:
    line = {"frame": 0, "name": "0", "camera": "c", "time": None, "score": 0.5, "area": {"a": 1.0}}
    check("frame-line", line)
    for change in ({"score": 1.5}, {"frame": -1}, {"area": {"a": "b"}}, {"new": 1}, {"name": None}):
        with pytest.raises(ValidationError):
            check("frame-line", line | change)
    for key in line:
        with pytest.raises(ValidationError, match="is a required property"):
            check("frame-line", {name: value for name, value in line.items() if name != key})


def test_a_later_key_of_a_line_breaks_no_reader() -> None:
    line = {"frame": 0, "name": "0", "camera": "c", "time": 1, "score": None, "area": {}, "new": 1}
    Draft202012Validator(json_schema("frame-line")).validate(line)


def test_the_command_prints_them() -> None:
    listed = CliRunner().invoke(app, ["schema"])
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(WRITTEN_FORMATS)
    printed = CliRunner().invoke(app, ["schema", "manifest"])
    assert printed.stdout == to_json(json_schema("manifest"), indent=2) + "\n"
    refused = CliRunner().invoke(app, ["schema", "nothing"])
    assert refused.exit_code == 1 and "there is no schema 'nothing'" in refused.stderr
