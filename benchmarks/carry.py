"""Download the wheels that a bare GPU machine lacks, for benchmarks/training.py and benchmarks/generation.py there.

    python benchmarks/carry.py wheels --python 3.12

There, next to src/ and benchmarks/ (compiled modules cannot be imported from a wheel, so they are unpacked first):

    for wheel in wheels/*.whl; do python -m zipfile -e $wheel site; done
    PYTHONPATH=src:site python benchmarks/training.py

The machine must have torch of 2.11 or newer, Pillow, and the dependencies of transformers 5. Versions are those of requirements.lock.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

PACKAGES = ("transformers", "pydantic", "pydantic-core", "annotated-types", "typing-inspection")
LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="version of Python there")
    parser.add_argument("--platform", default="manylinux_2_17_x86_64")
    arguments = parser.parse_args()
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    options = ["--no-deps", "--only-binary", ":all:", "--python-version", arguments.python]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(arguments.folder), *options]
    requirements = [f"{name}=={pins[name]}" for name in PACKAGES]
    subprocess.run([*command, "--platform", arguments.platform, *requirements], check=True)
    wheels = list(arguments.folder.glob("*.whl"))
    print(f"{len(wheels)} wheels, {sum(wheel.stat().st_size for wheel in wheels) / 1e6:.1f} MB, in {arguments.folder}")
