import re

from refrad.reporting.wording import REASONS, STAGES
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
