"""What every test relies on: programs that a test starts find the tree under test."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent / "src")
