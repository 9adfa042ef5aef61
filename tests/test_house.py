"""The house's own rules: what lies where, and who may import whom."""

import ast
import subprocess
from pathlib import Path

import pytest

from refrad.workflow.stages import STAGES

FLOORS = [
    {"cli"},
    {"commands"},
    {"stages", "demo"},
    {"reporting"},
    {"evaluation"},
    {"inference", "training"},
    {"dataset"},
    {"model"},
    {"segmentation", "grounding"},
    {"dicom", "language"},
    {"llm", "privacy"},
    {"workflow"},
    {"config"},
    {"anatomy"},
    {"core"},
]
TOP_LEVEL = {
    "Snakefile",
    "config.yaml",
    "rules",
    "workflow",
    "envs",
    "profiles",
    "slurm",
    "src",
    "tests",
    "README.md",
    "pyproject.toml",
    "requirements.lock",
    "Makefile",
    "docs",
    "LICENSE",
    ".ci",
    ".gitignore",
    "benchmarks",
}


def floor_of(module: str) -> int:
    room = module.split(".")[1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module != "refrad" else {f"refrad.{name.name}" for name in node.names}
    return {name for name in found if name.startswith("refrad.")}


def test_imports_point_downward_only(root):
    package = root / "src" / "refrad"
    for path in package.rglob("*.py"):
        module = ".".join(["refrad", *path.relative_to(package).with_suffix("").parts])
        if module in {"refrad.__init__", "refrad.__main__"}:
            continue
        for imported in imports_of(path):
            same_room = imported.split(".")[1] == module.split(".")[1]
            assert same_room or floor_of(imported) >= floor_of(module), f"{module} imports {imported}"


def test_demo_is_imported_by_no_stage_and_anatomy_imports_none(root):
    package = root / "src" / "refrad"
    for path in package.rglob("*.py"):
        if "demo" not in path.parts:
            assert not any(name.startswith("refrad.demo") for name in imports_of(path)), path.name
    for path in (package / "anatomy").glob("*.py"):
        assert all(name.startswith(("refrad.anatomy", "refrad.core.types")) for name in imports_of(path)), path.name


@pytest.mark.parametrize("stage", STAGES)
def test_stage_is_a_rule_a_module_and_a_test(root, stage):
    assert (root / "rules" / f"{stage}.smk").is_file()
    assert (root / "src" / "refrad" / "stages" / f"{stage}.py").is_file()
    assert (root / "tests" / "stages" / f"test_{stage}.py").is_file()


def test_top_level_is_as_planned(root):
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("needs a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert top <= TOP_LEVEL, top - TOP_LEVEL
    assert {"Snakefile", "config.yaml", "rules", "workflow", "profiles", "src", "tests", "README.md"} <= top


def test_tests_import_no_conftest_and_no_other_test(root):
    for path in (root / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            name = module.split(".")[-1]
            assert name != "conftest" and not name.startswith("test_"), f"{path.name} imports from {module}"


def test_tests_use_no_private_function(root):
    for path in [*(root / "tests").rglob("*.py"), *(root / "benchmarks").glob("*.py")]:
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refrad"):
                names |= {alias.asname or alias.name for alias in node.names}
                assert not [alias.name for alias in node.names if alias.name.startswith("_")], path.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
                assert not node.attr.startswith("_") or node.attr.startswith("__"), f"{path.name}: {node.attr}"
