"""The style sheet of a report, for light and dark, and the colors of its charts."""

from __future__ import annotations

COLORS = (
    "#4c8dd6",
    "#e0803a",
    "#3fa66b",
    "#b465c4",
    "#c9a227",
    "#d6556a",
    "#5bb3b8",
    "#8a8f98",
    "#8b6f47",
    "#93b83c",
    "#6f6fd8",
    "#e08ab8",
    "#2f7d8c",
    "#b0522d",
)

STYLE = """
:root { color-scheme: light dark;
  --back: #fbfbfa; --card: #ffffff; --text: #1d2126;
  --soft: #636c76; --line: #dfe2e6; --best: #e4f3e8 }
@media (prefers-color-scheme: dark) {
  :root {
    --back: #15181c; --card: #1d2126; --text: #e6e8ea;
    --soft: #98a1ab; --line: #343a42; --best: #1f3a29 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.55 system-ui, sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px } h2 { font-size: 19px; margin: 40px 0 6px }
p { margin: 6px 0 14px; max-width: 78ch } .soft, figcaption, .axis { color: var(--soft) }
code { font: 13px ui-monospace, monospace; padding: 1px 5px;
  background: var(--card); border: 1px solid var(--line); border-radius: 4px }
.scroll { overflow-x: auto; margin: 12px 0 }
table { border-collapse: collapse; background: var(--card); font-variant-numeric: tabular-nums }
th, td { padding: 7px 14px; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap }
th { color: var(--soft); font-weight: 600 } th:first-child, td:first-child { text-align: left }
.confusion th, .confusion td { padding: 4px 6px } .confusion th { text-align: left }
.confusion td { min-width: 42px } .confusion .absent { text-align: left }
.confusion .down { vertical-align: bottom }
.confusion .down span { writing-mode: vertical-rl; transform: rotate(180deg) }
td.best { background: var(--best); font-weight: 600 }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 }
.tile { padding: 12px 18px; min-width: 150px;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px }
.tile b { display: block; font-size: 25px; line-height: 1.25 }
.tile span { color: var(--soft); font-size: 13px }
.grid { display: grid; gap: 6px; margin: 12px 0; min-width: 720px } figure { margin: 0 }
.grid img { width: 100%; display: block; border-radius: 3px }
.grid .head { color: var(--soft); font-size: 13px; text-align: center }
figcaption { font-size: 12px; text-align: center }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; margin: 6px 0 }
.legend i { display: inline-block; width: 12px; height: 12px;
  border-radius: 2px; margin-right: 6px; vertical-align: -1px }
svg { display: block; max-width: 100%; height: auto }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif }
svg .value { fill: var(--text) } svg .rule { stroke: var(--line); stroke-width: 1 }
"""
