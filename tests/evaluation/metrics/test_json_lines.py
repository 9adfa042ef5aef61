import gzip
import os

import pytest

from refrad.evaluation.metrics.json_lines import count_lines, read_objects


def written(tmp_path, content):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    return path


def test_rows_are_numbered_as_in_the_file(tmp_path):
    path = written(tmp_path, b'\n{"id": 1}\r\n  \n{"id": 2}')
    assert list(read_objects(path)) == [(2, {"id": 1}), (4, {"id": 2})]


@pytest.mark.parametrize("text", ['\ufeff{"id": "ö"}\n', '{"id": "ö"}\n'])
def test_byte_order_mark_is_left_out(tmp_path, text):
    assert list(read_objects(written(tmp_path, text.encode()))) == [(1, {"id": "ö"})]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"id": 1}\n{"id": "Größe"}'.encode("latin-1"), r"rows\.jsonl, line 2: not in UTF-8"),
        *((('{"id": 1}\n').encode(code), r"rows\.jsonl: .*UTF-8") for code in ("utf-16", "utf-16-le", "utf-32")),
        (gzip.compress(b'{"id": 1}'), r"rows\.jsonl: a compressed file: unpack it first"),
        (b'[{"id": 1}]', "line 1: not one JSON object"),
        (b'{"id": 1}\n{"id": 2', "line 2: not one JSON object"),
        (b'{"id": 1} {"id": 2}', "line 1: not one JSON object"),
        (b'{"id": ' + b"[" * 200_000, "line 1: not one JSON object"),
        (b'{"id": ' + b"4" * 20_000 + b"}", "line 1: not one JSON object"),
        (b'{"id": 1, "answer": "\\ud800"}', "line 1: half a character"),
        (b'{"id": 1, "answer": "a", "answer": "b"}', "line 1: a key occurs twice"),
        (b'{"id": 1, "entities": [{"box": 1, "box": 2}]}', "line 1: a key occurs twice"),
    ],
)
def test_line_that_cannot_be_read_is_named(tmp_path, content, words):
    with pytest.raises(ValueError, match=words) as error:
        list(read_objects(written(tmp_path, content)))
    assert "\n" not in str(error.value) and "Gr" not in str(error.value)


def test_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="not a file that can be read"):
        list(read_objects(tmp_path))


def test_lines_are_counted_for_progress_but_a_pipe_is_read_once(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": 1}\n{"id": 2}')
    assert count_lines(tmp_path / "rows.jsonl") == 2
    os.mkfifo(tmp_path / "pipe")
    assert count_lines(tmp_path / "pipe") is None


@pytest.mark.parametrize("line", ['{"id": 1} {"id": 2}', '{"id": 1}x', '{"id": 1', "\x0b{}", "1", '"'])
def test_line_that_is_not_one_object_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 0}\n' + line)
    with pytest.raises(ValueError, match=r"rows.jsonl, line 2: not one JSON object"):
        list(read_objects(path))
