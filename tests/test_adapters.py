"""The adapters of the labelled cases next to the checkout (../shared/cases): each names functions that exist."""

import os
import re
import subprocess
import sys

import pytest

BROKEN = ("ImportError", "ModuleNotFoundError", "AttributeError", "NameError", "TypeError", "KeyError")
CALL_TEXT_FUNCTIONS = """
import runpy
names = runpy.run_path({adapter!r})
functions = names["text_functions"]()
assert len(functions) == 25
for function in functions.values():
    function("Leber normal, Niere links 3 mm.")
"""


@pytest.fixture(scope="module")
def cases(root):
    folder = root.parent / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared/cases with labelled cases, which is not part of the project")
    return folder


@pytest.fixture
def run_python(root):
    """The function that runs Python in the root of the project; the output comes back."""

    def run(*arguments):
        environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *map(str, arguments)]
        process = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        return process.stdout + process.stderr

    return run


def test_language_cases_are_right(cases, run_python):
    output = run_python(cases / "language" / "score.py", "--verbose")
    assert not [line for line in output.splitlines() if any(error in line for error in BROKEN)]
    files = re.findall(r"^\w+\.jsonl +(\d+)/(\d+)$", output, re.MULTILINE)
    controls = re.findall(r"^ +control +(\d+)/(\d+)", output, re.MULTILINE)
    assert len(files) == 5 and len(controls) == 4
    assert all(int(right) >= 0.95 * int(total) for right, total in files), output
    assert all(right == total for right, total in controls), output


def test_score_cases_are_right(cases, run_python):
    output = run_python(cases / "metrics" / "run_cases.py")
    assert not [line for line in output.splitlines() if any(error in line for error in BROKEN)]
    kinds = re.findall(r"^  (\w+) +(\d+)/(\d+)$", output, re.MULTILINE)
    assert len(kinds) == 13
    wrong = [line for line in output.splitlines() if ": WRONG" in line]
    assert not wrong


def test_fault_cases_reach_the_project(cases, run_python):
    assert run_python("-c", CALL_TEXT_FUNCTIONS.format(adapter=str(cases / "faults" / "adapter.py"))) == ""


def test_dicom_cases_reach_the_project(cases, run_python):
    code = f"import runpy; runpy.run_path({str(cases / 'dicom' / 'run_cases.py')!r}); import refrad.fingerprint as f; f.compose"
    assert run_python("-c", code) == ""
