import json
import subprocess
import sys
import time

import pytest
from tests.llm.talking import TalkingServer, answering, completion

from refrad.cli import main

TRUTH = {"id": 1, "task": "vqa", "kind": "closed", "answer": "yes"}


def write(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def test_every_example_of_the_page_can_be_scored(root, tmp_path, capsys):
    lines = [
        line.strip()
        for line in (root / "docs" / "evaluation.md").read_text(encoding="utf-8").splitlines()
        if line.startswith('    {"id"')
    ]
    truth = write(tmp_path / "truth.jsonl", *[line for line in lines if '"task"' in line])
    given = write(tmp_path / "predictions.jsonl", *[line for line in lines if '"task"' not in line])
    out = tmp_path / "result.json"
    assert main(["score", given, "--truth", truth, "--against", given, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    means = {(row["task"], row["metric"]): row["mean"] for row in result["scores"] if row["by"] is None}
    assert means["vqa", "accuracy"] == means["vqa", "measure_f1"] == 1 and means["vqa", "f1"] == 0.5
    assert means["locate", "iou"] == 0.5  # two of four pixels
    assert means["detect", "g_iou"] == pytest.approx(70 * 110 / (80 * 110 + 70 * 120 - 70 * 110))
    assert {row["task"] for row in result["compared"]} == {"vqa", "caption", "detect", "locate"}
    assert {row["by"] for row in result["scores"]} >= {None, "language", "modality", "kind", "class", "size"}
    assert "difference to the other model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("no json", "line 2: not one JSON object"),
        ("[" * 100_000, "line 2: not one JSON object"),
        ({"id": "2", "task": "guess"}, "line 2: task"),
        ({"id": "2", "task": "vqa", "answer": "secret"}, "line 2: a question has a kind"),
        ({"id": "2", "task": "locate"}, "line 2: task locate has entities"),
        ({"id": "2", "task": "locate", "entities": [{"text": "liver"}]}, "line 2: entities.0: an entity has either"),
        (TRUTH, "line 2: duplicate id"),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(tmp_path, capsys, row, words):
    truth = write(tmp_path / "truth.jsonl", TRUTH, row)
    given = write(tmp_path / "predictions.jsonl", {"id": "1", "answer": "yes"})
    assert main(["score", given, "--truth", truth]) == 1
    message = capsys.readouterr().err
    assert words in message and "secret" not in message and len(message.splitlines()) == 1


def test_a_missing_file_is_one_line(tmp_path, capsys):
    assert main(["score", str(tmp_path / "a"), "--truth", str(tmp_path / "b")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_replies_are_kept_in_the_project_or_in_the_users_cache(tmp_path, monkeypatch):
    truth = write(
        tmp_path / "truth.jsonl", {"id": 1, "task": "vqa", "kind": "open", "answer": "liver", "question": "?"}
    )
    given = write(tmp_path / "predictions.jsonl", {"id": 1, "answer": "spleen"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("project", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Snakefile").write_text("") if name == "project" else None
        monkeypatch.chdir(tmp_path / name)
        with answering(lambda _: {"score": 2}) as server:
            assert (
                main(["score", given, "--truth", truth, "--judge-endpoint", server.endpoint, "--judge-model", "m"]) == 0
            )
    assert {path.name for path in (tmp_path / "project").iterdir()} == {"Snakefile", "stores"}
    assert not list((tmp_path / "elsewhere").iterdir()) and any((tmp_path / "cache" / "refrad" / "llm").iterdir())


def judged(tmp_path, endpoint, model="test"):
    truth = write(tmp_path / "truth.jsonl", {"id": 1, "task": "vqa", "kind": "open", "answer": "liver"})
    given = write(tmp_path / "predictions.jsonl", {"id": "1", "answer": "spleen"})
    judge = ["--judge-endpoint", endpoint, "--judge-model", model, "--store", str(tmp_path / "store")]
    return main(["score", given, "--truth", truth, *judge, "--resamples", "10"])


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1", "gpu07:8000/v1"])
def test_dead_judge_is_reported_at_once(tmp_path, capsys, endpoint):
    started = time.monotonic()
    assert judged(tmp_path, endpoint) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "--judge-endpoint" in message and time.monotonic() - started < 300  # without the limit: 600 s


def test_judge_of_another_name_is_reported(tmp_path, capsys):
    server = TalkingServer(lambda _: (404, {}, b"no such model"))
    assert judged(tmp_path, server.endpoint) == 1
    server.stop()
    assert "--judge-model" in capsys.readouterr().err


def test_judge_without_a_model_is_refused(tmp_path, capsys):
    assert judged(tmp_path, "http://127.0.0.1:9/v1", "") == 1
    assert "needs --judge-model" in capsys.readouterr().err


def test_failures_of_the_judge_are_printed(tmp_path, capsys):
    server = TalkingServer(lambda _: completion("I cannot judge this."))
    assert judged(tmp_path, server.endpoint) == 0
    server.stop()
    assert "the judge failed on 1 answers" in capsys.readouterr().out


@pytest.mark.parametrize("resamples", ["0", "-5"])
def test_intervals_need_a_resample(tmp_path, capsys, resamples):
    truth = write(tmp_path / "truth.jsonl", TRUTH)
    assert main(["score", truth, "--truth", truth, "--resamples", resamples]) == 1
    assert "--resamples must be at least 1" in capsys.readouterr().err


def test_text_metrics_are_scored_and_defined(tmp_path, capsys):
    caption = {"id": 1, "task": "caption", "answer": "The liver is normal."}
    files = [
        write(tmp_path / "p.jsonl", {"id": 1, "answer": "Normal liver."}),
        "--truth",
        write(tmp_path / "t.jsonl", caption),
    ]
    out = tmp_path / "result.json"
    assert main(["score", *files, "--text-metrics", "bleu4", "rougel", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    means = {row["metric"]: row["mean"] for row in result["scores"] if row["by"] is None}
    # One of the two words in order, of 2 and 4 words: 2 x 1 / 6
    assert means["rougel"] == pytest.approx(1 / 3) and 0 < means["bleu4"] < 1
    assert {"bleu4", "rougel"} <= result["definitions"].keys()
    capsys.readouterr()
    for wrong in (["bertscore"], ["green"], ["meteor"]):
        assert main(["score", *files, "--text-metrics", *wrong]) != 0
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_result_is_a_file(tmp_path, capsys):
    truth = write(tmp_path / "truth.jsonl", TRUTH)
    assert main(["score", truth, "--truth", truth, "--out", str(tmp_path)]) == 1
    assert "is a folder: name a file" in capsys.readouterr().err


def test_a_stratum_with_one_value_is_not_printed_again(tmp_path, capsys):
    question = {"task": "vqa", "kind": "open", "question": "?", "answer": "liver", "modality": "CT"}
    truth = [question | {"id": f"{language}{n}", "language": language} for language in ("de", "en") for n in (1, 2)]
    answers = [{"id": row["id"], "answer": "liver" if row["language"] == "de" else "lung"} for row in truth]
    files = write(tmp_path / "answers", *answers), "--truth", write(tmp_path / "truth", *truth)
    assert main(["score", *files, "--resamples", "100"]) == 0
    printed = capsys.readouterr().out
    assert "by language" in printed and "by modality" not in printed
    means = [line.split()[1:4] for line in printed.splitlines() if " f1 " in line]
    assert means == [["f1", "0.500", "(0.000"], ["de", "f1", "1.000"], ["en", "f1", "0.000"]]


def test_command_without_a_judge_imports_no_client_and_no_model():
    code = (
        "import sys, refrad.commands.score; print({'aiohttp', 'pyarrow', 'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
