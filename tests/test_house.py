"""The house's own rules: what lies where, and who may import whom."""

import ast
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from refrad.workflow.stages import STAGES

FLOORS = [
    {"cli"},
    {"commands"},
    {"acceptance"},
    {"stages", "demo"},
    {"reporting", "review", "withdrawal"},
    {"evaluation"},
    {"inference", "training"},
    {"dataset"},
    {"model"},
    {"segmentation", "grounding", "public_sets"},
    {"nifti"},
    {"dicom", "language", "statements"},
    {"sources"},
    {"llm"},
    {"workflow"},
    {"config"},
    {"privacy", "formats"},
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
        if "demo" not in path.parts and path.name != "demo.py":
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


# Private attributes of other libraries and of named tuples, which tests may use.
FOREIGN_ATTRIBUTES = {"_asdict", "_exit", "_fields", "_make", "_replace"}
FOREIGN_ATTRIBUTES |= {"_attn_implementation"}  # transformers
FOREIGN_ATTRIBUTES |= {
    "_internal_get_sliding_window_slicers",
    "_internal_predict_sliding_window_return_logits",
}  # nnU-Net


def private_attributes(tree):
    """Names of private attributes that code reads or sets on objects other than `self` and `cls`, also by setattr and getattr."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}):
                names.add(node.attr)
        elif isinstance(node, ast.Call):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in {"delattr", "getattr", "hasattr", "setattr"}:
                names |= {name.value for name in node.args[1:2] if isinstance(name, ast.Constant)}
    return {name for name in names if isinstance(name, str) and name.startswith("_") and not name.startswith("__")}


def test_tests_use_no_private_attribute(root):
    for path in [*(root / "tests").rglob("*.py"), *(root / "benchmarks").glob("*.py")]:
        names = private_attributes(ast.parse(path.read_text(encoding="utf-8"))) - FOREIGN_ATTRIBUTES
        assert not names, f"{path.name}: {', '.join(sorted(names))}"


@pytest.mark.parametrize("line", ["client._body", "make()._store.x = 1", 'patch.setattr(x, "_name", 1)', "self.a._b"])
def test_private_attribute_is_detected(line):
    assert private_attributes(ast.parse(line)) and not private_attributes(ast.parse("self._a, b.c, d.__name__"))


# Limits of the code's form. An entry of a list has a reason; the share of vague names may be lowered, never raised.
LONGEST_MODULE = 300  # lines
MOST_PARAMETERS = 8
# Parameters of stages' `run` and of commands' `main` are the flags of the command line and are not limited.
MANY_PARAMETERS = {
    "segmentation/nnunet_patches.py:predict": "the signature of nnU-Net's method that it replaces",
}
VAGUE_NAMES = {
    "one",
    "other",
    "found",
    "told",
    "seen",
    "place",
    "placed",
    "some",
    "kept",
    "given",
    "made",
    "asked",
    "said",
    "thing",
    "things",
    "stuff",
}
VAGUE_NAMES |= {"what", "wanted", "known", "shown"}
VAGUE_SHARE = 0.002  # of assigned names
PACKAGE_SHARE = 0.12  # of all lines
REPEATED_MODULES = {
    "base": "the interface and the registry of an extension point",
    "captions": "a stage and the builder that it calls",
    "convert": "a command, for questions, and the modules for volumes of DICOM and NIfTI",
    "copies": "a stage, for volumes, and the module for images",
    "headers": "of DICOM images and of NIfTI files, in one form",
    "totalsegmentator": "a segmenter, and the public set on which it was trained",
    "public_set": "a command, and the synthetic bodies in the layout of a set",
}
REPEATED_CLASSES = {
    "Config": "the config, and pandera's Config class inside of a table contract",
    "Shape": "a body's outline, and the sizes of a model whose operations are counted",
}


# Packages of stages and commands open files; below them only these modules do, since a file is their purpose.
FILE_CALLS = {"open", "read_text", "write_text", "read_bytes", "write_bytes"}
FILE_CALLS |= {"read_parquet", "scan_parquet", "write_parquet", "ParquetFile", "ParquetWriter", "nib.load"}
# Own tables are verified as they are read, so only these modules call a library's reader.
PARQUET_READERS = {"read_parquet", "scan_parquet", "ParquetFile", "read_metadata", "read_schema", "read_parquet_schema"}
PARQUET_MODULES = {
    "core/checksums.py",
    "core/row_removal.py",
    "core/tables.py",
    "dataset/image_lookup.py",
    "dataset/picture_files.py",
    "dataset/shard_io.py",
    "nifti/entry_table.py",
    "segmentation/mask_table.py",
    "sources/reports.py",
    "workflow/fingerprint.py",
}
FILE_MODULES = {
    "settings and schemas": {
        "acceptance/labelled_item.py",
        "anatomy/lexicon.py",
        "anatomy/schema.py",
        "config/config.py",
        "config/downloads.py",
        "evaluation/metrics/judge.py",
        "evaluation/other_prompts.py",
        "llm/tasks.py",
        "segmentation/plausibility.py",
        "workflow/fingerprint.py",
        "workflow/rates.py",
    },
    "readers of deliveries, images and records": {
        "dataset/benchmarks/base.py",
        "dicom/pixels.py",
        "dicom/scan.py",
        "evaluation/metrics/json_lines.py",
        "formats/charsets.py",
        "formats/workbooks.py",
        "formats/nifti.py",
        "inference/load_image.py",
        "inference/predictor.py",
        "nifti/bids.py",
        "nifti/entry_table.py",
        "nifti/volume_list.py",
        "privacy/choice_lists.py",
        "public_sets/table_reading.py",
        "sources/reports.py",
    },
    "the dataset, its exports and its comparison with other datasets": {
        "dataset/exports/authors.py",
        "dataset/exports/authors_images.py",
        "dataset/exports/chat.py",
        "dataset/exports/hf.py",
        "dataset/exports/image_files.py",
        "dataset/exports/webdataset.py",
        "dataset/image_lookup.py",
        "dataset/file_list.py",
        "dataset/picture_files.py",
        "dataset/row_store.py",
        "dataset/shard_io.py",
        "formats/spreadsheets.py",
    },
    "stores of volumes, masks, answers, verdicts and keys": {
        "evaluation/answer_cache.py",
        "llm/store.py",
        "privacy/keys.py",
        "privacy/storage_errors.py",
        "review/verdicts.py",
        "segmentation/label_files.py",
        "segmentation/mask_table.py",
    },
    "removal of patients": {
        "llm/reply_removal.py",
        "withdrawal/bookkeeping.py",
        "withdrawal/checkpoints.py",
        "withdrawal/evaluations.py",
        "withdrawal/traces.py",
    },
    "programs of others that read files": {
        "segmentation/nnunet_patches.py",
        "segmentation/totalsegmentator.py",
    },
    "processes and jobs, which meet in files": {
        "llm/endpoint.py",
        "llm/salvage.py",
        "llm/server.py",
        "llm/server_leases.py",
        "llm/sharing.py",
        "training/account.py",
        "training/run_log.py",
        "training/set_aside.py",
        "training/skipped_steps.py",
        "workflow/job_records.py",
        "workflow/training_job.py",
    },
}


def own_modules(root):
    """Path below the package, text and syntax tree of each module."""
    package = root / "src" / "refrad"
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        yield path.relative_to(package), text, ast.parse(text)


def repeated(names):
    return {name for name, count in Counter(names).items() if count > 1}


def test_modules_are_short_or_listed(root):
    long = {path.as_posix() for path, text, _ in own_modules(root) if text.count("\n") > LONGEST_MODULE}
    assert not long


def test_parameters_are_few_or_listed(root):
    many = set()
    for path, _, tree in own_modules(root):
        flags = {"stages": "run", "commands": "main"}.get(path.parts[0])
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != flags:
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len([name for name in arguments if name.arg not in {"self", "cls"}]) > MOST_PARAMETERS:
                    many.add(f"{path.as_posix()}:{node.name}")
    assert many <= MANY_PARAMETERS.keys(), many - MANY_PARAMETERS.keys()


def test_files_are_opened_by_stages_commands_and_listed_modules(root):
    opening = set()
    for path, _, tree in own_modules(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and "io.BytesIO" not in ast.unparse(node):
                name = ast.unparse(node.func)
                if name in FILE_CALLS or name.split(".")[-1] in FILE_CALLS:
                    opening.add(path.as_posix())
    above = {path for path in opening if path.startswith(("cli", "stages/", "commands/", "demo/", "core/"))}
    assert opening - above == set().union(*FILE_MODULES.values())


def test_tables_are_read_where_they_are_verified(root):
    reading = {
        path.as_posix()
        for path, _, tree in own_modules(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in PARQUET_READERS
        and ast.unparse(node.value) in {"pl", "polars", "pq"}
    }
    assert reading == PARQUET_MODULES


def test_vague_names_become_no_more(root):
    names = [
        node.id
        for _, _, tree in own_modules(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    assert sum(name in VAGUE_NAMES for name in names) <= VAGUE_SHARE * len(names)


def test_packages_are_of_moderate_size(root):
    lines = Counter()
    for path, text, _ in own_modules(root):
        lines[path.parts[0]] += text.count("\n")
    largest, count = lines.most_common(1)[0]
    assert count <= PACKAGE_SHARE * lines.total(), largest


def test_module_and_class_names_are_unique_or_listed(root):
    modules, classes = [], []
    for path, _, tree in own_modules(root):
        modules += [path.stem] if path.stem not in {"__init__", "__main__"} else []
        classes += {
            node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        }
    assert repeated(modules) <= REPEATED_MODULES.keys() | set(STAGES), repeated(modules)
    assert repeated(classes) <= REPEATED_CLASSES.keys(), repeated(classes)
