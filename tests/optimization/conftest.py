"""The files here import one another: importlib mode puts no test folder on the path. Small networks want one thread."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="module")
def _small_networks(one_thread):
    """All files here have them."""
