import re

from refrad.cli import STAGES as COMMANDS
from refrad.reporting.wording import REASONS, STAGES


def test_every_stage_with_a_page_is_described():
    assert tuple(STAGES) == tuple(name for name in COMMANDS if name != "report")


def test_every_reason_that_the_code_gives_is_explained(root):
    given = set()
    for path in (root / "src" / "refrad").rglob("*.py"):
        given |= set(
            re.findall(
                r'(?:put_aside|Unmet|UnsegmentableError|QuarantineError|_leave)\("(\w+)"',
                path.read_text(encoding="utf-8"),
            )
        )
    assert len(given) > 15
    assert given <= set(REASONS)
