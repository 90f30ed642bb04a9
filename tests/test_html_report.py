"""The HTML report: one valid file, everything inside, nothing unescaped."""

from __future__ import annotations

import base64
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.html_report import HtmlReport, ReliabilityCurve, Series
from edgeseg.html_report.reliability_chart import reliability_chart
from edgeseg.html_report.report import data_uri
from edgeseg.html_report.scatter_chart import Point, scatter_chart
from edgeseg.html_report.svg_charts import axis_ticks

VOID = {"meta", "img", "br", "line", "rect", "circle", "polyline"}


class Balance(HTMLParser):
    """Every tag that opens closes again, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def _decode(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.split(",", 1)[1]), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


@pytest.fixture
def photo() -> np.ndarray:
    return cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8), (0, 0), 4
    )


def test_masks_are_exact_and_photos_are_small(photo: np.ndarray) -> None:
    mask = np.zeros((40, 60, 3), np.uint8)
    mask[10:, 20:] = 63, 155, 63
    assert data_uri(mask).startswith("data:image/png") and np.array_equal(
        _decode(data_uri(mask)), mask
    )
    assert data_uri(photo).startswith("data:image/jpeg")
    assert np.abs(_decode(data_uri(photo)).astype(int) - photo).mean() < 6


def test_a_whole_page_is_balanced_and_needs_no_other_file(
    tmp_path: Path, photo: np.ndarray
) -> None:
    page = HtmlReport("Gauge <7>", "lead & more")
    page.heading("Table")
    page.tiles([("71.2", "mIoU")])
    page.paragraph("type `edgeseg adapt <LOG>` now")
    page.table(["model", "mIoU"], [["a<b", "1.0"], ["c", "2.0"]], best=[(1, 1)])
    page.pictures(["frame", "truth"], [[(photo, ""), (photo, "score 0.3")]])
    page.curves(
        [Series("one", [0, 10, 20], [1.0, float("nan"), 3.0]), Series("empty", [], [])],
        "steps",
        "mIoU",
    )
    page.bars(["before", "after"], ["fp32", "int8"], [[50.0, 49.5], [60.0, None]], "mIoU")
    page.confusion(np.array([[9, 1], [0, 0]]), ["a<b", "absent"])
    page.reliability([ReliabilityCurve("x<y", [(0.5, 0.4, 0.25), (0.9, 1.0, 0.75)])])
    page.write(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    assert len(reader.links) == 2 and all(link.startswith("data:") for link in reader.links)
    assert (
        "a&lt;b" in text
        and "Gauge &lt;7&gt;" in text
        and "<code>edgeseg adapt &lt;LOG&gt;</code>" in text
    )
    assert "http" not in text and "<script" not in text
    assert text.count("<rect") == 3 + 2  # the missing bar leaves a gap; the bars of confidence
    assert "empty" not in text and "nan" not in text


def test_heights_of_bars_follow_their_values() -> None:
    page = HtmlReport("t")
    page.bars(["g"], ["a", "b"], [[10.0, 20.0]], "x")
    low, high = (float(value) for value in re.findall(r'<rect[^>]* height="([\d.]+)"', page.html()))
    assert high == pytest.approx(2 * low, rel=0.01)


def test_a_band_is_drawn_behind_its_line_and_widens_the_axis() -> None:
    page = HtmlReport("t")
    page.curves([Series("a", [0, 1], [5.0, 5.0], [(1.0, 9.0), (4.0, 6.0)])], "steps", "mIoU")
    text = page.html()
    assert text.index("<polygon") < text.index("<polyline")
    points = re.findall(r'<polygon points="([^"]+)"', text)[0].split()
    assert len(points) == 4 and points[0].split(",")[0] == points[3].split(",")[0]
    assert ">10</text>" in text and ">0</text>" in text


def test_28_lines_and_their_names_in_the_legend_look_different() -> None:
    page = HtmlReport("t")
    page.curves([Series(str(n), [0, 1], [n, n]) for n in range(28)], "steps", "mIoU")
    looks = re.findall(r'<polyline points="[^"]+" ([^/]+)/>', page.html())
    swatches = re.findall(r'<i style="background:([^"]+)">', page.html())
    assert len(set(looks)) == len(looks) == len(set(swatches)) == len(swatches) == 28


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 400), (31.2, 78.9), (55.0, 55.0), (-3, 4), (0, 0.004)]
)
def test_ticks_are_round_and_span_the_values(low: float, high: float) -> None:
    ticks = axis_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 9
    assert len({round(b - a, 9) for a, b in itertools.pairwise(ticks)}) == 1


def test_points_of_a_frontier_are_joined_and_names_do_not_lie_on_each_other() -> None:
    points = [
        Point("fast <net>", 2, 40, on_frontier=True),
        Point("near", 2.1, 40.1),
        Point("accurate", 14, 51, spread=1, on_frontier=True),
    ]
    chart = scatter_chart(points, "ms", "mIoU")
    assert chart.count("<polyline") == 1 and chart.count("<circle") == 3
    assert "fast &lt;net&gt;" in chart
    names = re.findall(r'y="([\d.]+)" text-anchor="(start|end)">(?:fast|near|accurate)', chart)
    assert abs(float(names[0][0]) - float(names[1][0])) >= 13
    assert names[2][1] == "end"  # else it would leave the picture
    page = HtmlReport("title")
    page.scatter([], "ms", "mIoU")
    assert "<svg" not in page.html()


def test_a_cell_of_a_confusion_matrix_tells_its_share_of_the_row() -> None:
    page = HtmlReport("t")
    page.confusion(np.array([[900, 100, 0], [0, 0, 0], [1, 0, 9999]]), ["a", "b", "c"])
    rows = re.findall(r"<tr>(.*?)</tr>", page.html())
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows]
    assert cells[1:] == [["90.0", "10.0", ""], ["no frame here shows it"], ["", "", "100.0"]]
    strengths = [float(value) for value in re.findall(r"rgba\(76,141,214,([\d.]+)\)", rows[1])]
    assert strengths[0] > strengths[1] > strengths[2] == 0


def test_confidence_that_is_as_good_as_its_word_lies_on_the_diagonal() -> None:
    points = [(0.25, 0.25, 0.5), (0.75, 0.75, 0.5)]
    chart = reliability_chart([ReliabilityCurve("net", points)])
    ends = re.findall(r'[xy][12]="([\d.]+)"', chart.partition("dash")[0])[-4:]
    x1, y1, x2, y2 = map(float, ends)
    for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart):
        along = (float(x) - x1) / (x2 - x1)
        assert float(y) == pytest.approx(y1 + along * (y2 - y1), abs=0.2)
