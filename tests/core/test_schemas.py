"""pandera is loaded without pandas, which stays available."""

import subprocess
import sys

import pytest

pytest.importorskip("pandas")


def output_of(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_contracts_load_no_pandas():
    assert output_of("import refrad.core.contracts, sys; print('pandas' in sys.modules)") == "False"


def test_tables_become_pandas_frames_as_usual():
    code = "import refrad.core.contracts, polars; print(list(polars.DataFrame({'a': [1]}).to_pandas()['a']))"
    assert output_of(code) == "[1]"
