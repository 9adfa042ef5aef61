"""Bodies of replies that hold no completion."""

import pytest

from refrad.llm.endpoint import HalfReply, read_completion


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"choices": []}', b"\xff", b"[" * 100_000, b'{"choices": [' + b"[" * 100_000, b"1" * 5000],
)
def test_body_without_a_completion_is_half_a_reply(body):
    with pytest.raises(HalfReply):
        read_completion(body)
