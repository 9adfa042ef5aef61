import re

from refrad.reporting.wording import REASONS, STAGES
from refrad.workflow.stages import STAGES as COMMANDS


def test_every_stage_with_a_page_is_described():
    assert tuple(STAGES) == tuple(name for name in COMMANDS if name != "report")


def test_every_reason_that_the_code_gives_is_explained(root):
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
