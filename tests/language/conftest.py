import contextlib

import pytest
from tests.llm.talking import TASKS, answering, llm_line

from refrad.llm import open_models


@pytest.fixture
def serve_answers(root, tmp_path):
    """The function that opens models whose answers a function of the request's data gives, over a real connection."""

    @contextlib.contextmanager
    def serve(answer):
        with answering(answer) as server, open_models(llm_line(server, root, tmp_path, TASKS)) as models:
            yield models

    return serve
