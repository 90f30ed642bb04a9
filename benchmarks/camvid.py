"""CamVid, 11 classes, 1/16 of the training frames labelled; see real_footage.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.real_footage import main

if __name__ == "__main__":
    main("camvid")
