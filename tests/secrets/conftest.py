"""Make the helpers of this directory importable; a package named secrets is the library's."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
