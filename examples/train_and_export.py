"""Train, distil and export from Python: what `edgeseg train`, `distill` and `export --int8` do.

    python examples/train_and_export.py SITE [KEY=VALUE ...]

Needs `edgeseg[all]`. Keys are those of edgeseg.toml, as for --set: train.steps=2000.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import edgeseg


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    try:
        site = edgeseg.Site.open(options.site, [*options.overrides, "export.int8=true"])
        teacher = edgeseg.train(site)
        print(f"site model: mIoU {teacher.miou:.1f} on val, {teacher.path}")
        student = edgeseg.distill(site, teacher=teacher.path)
        print(f"edge model: mIoU {student.miou:.1f} on val, {student.path}")
        result = edgeseg.export(site, run=student.path, record=True)
    except edgeseg.EdgesegError as error:  # one sentence: what, why, and how to mend it
        sys.exit(f"error: {error}")
    for sentence in result.refused:
        print(sentence)
    print(f"bundle: {result.bundle}")


if __name__ == "__main__":
    main()
