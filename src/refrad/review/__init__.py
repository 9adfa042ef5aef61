"""Review of the dataset by people: verdicts, queues, suspicion, statistics, and what leaves the dataset because of them.

    with open_verdicts(Path("private/review/verdicts.sqlite")) as store:
        store.add(verdict)

Nothing here draws or serves a page.
"""
