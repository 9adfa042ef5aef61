import re

from refrad.evaluation.metrics.records import TASKS
from refrad.evaluation.metrics.scoring import METRICS
from refrad.reporting.wording import METRIC_NAMES, REASONS, STAGES, TABLE_TITLES, TASK_NAMES
from refrad.workflow.stages import STAGES as COMMANDS


def test_stages_with_a_page_have_a_sentence():
    assert tuple(STAGES) == tuple(name for name in COMMANDS if name != "report")


def test_reasons_in_the_code_have_a_sentence(root):
    given = set()
    for path in (root / "src" / "refrad").rglob("*.py"):
        given |= set(
            re.findall(
                r'(?:quarantine|Unmet|UnsegmentableError|QuarantineError|_leave)\("(\w+)"',
                path.read_text(encoding="utf-8"),
            )
        )
    assert len(given) > 15
    assert given <= set(REASONS)


def test_metrics_and_tasks_have_names_in_words():
    assert METRIC_NAMES.keys() == METRICS.keys() and TASK_NAMES.keys() == set(TASKS)
    assert not any("_" in name for name in [*METRIC_NAMES.values(), *TASK_NAMES.values()])


def test_titled_tables_are_those_that_stages_count(root):
    counted = set()
    for path in (root / "src" / "refrad").rglob("*.py"):
        names = re.findall(r'\.add\(\s*f?"([^"]+)"', path.read_text(encoding="utf-8"))
        counted |= {re.compile(re.sub(r"\\{.*?\\}", ".+", re.escape(name))) for name in names}
    for stage, titles in TABLE_TITLES.items():
        assert stage in STAGES
        assert all(any(name.fullmatch(table) for name in counted) for table in titles)
