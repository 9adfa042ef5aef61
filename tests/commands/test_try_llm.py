"""`refrad try-llm` over a real connection: its table, its file, its one-line errors, and what it leaves alone."""

import json

import pytest
import yaml
from tests.acceptance.answer_sheet import AnswerSheet
from tests.factories import OWN_DATA
from tests.llm.talking import TalkingServer, completion

from refrad.acceptance.labelled_item import Anatomy
from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.cli import main
from refrad.evaluation.metrics.judge import load_scale


@pytest.fixture
def serve():
    """The function that starts a server; all are stopped after the test."""
    servers = []

    def start(behave):
        servers.append(TalkingServer(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def site(root, tmp_path, monkeypatch):
    """The function that writes a config with models of roles and returns its path; the command runs in the project's root."""
    monkeypatch.chdir(root)
    monkeypatch.setattr("refrad.llm.connection.FIRST_WAIT", 0.001)
    (tmp_path / "reports.csv").write_text(
        "report_id,study_uid,text\nr,1.2.5,Findings: Liver normal. Secret spleen sentence.\n", encoding="utf-8"
    )
    (tmp_path / "dicom").mkdir()

    def write(name="site.yaml", llm=None, **models):
        places = {"dicom": str(tmp_path / "dicom"), "reports": str(tmp_path / "reports.csv"), "shards": 1}
        content = {
            "deliveries": [{"name": "a", "references": None, "masks": None, **places}],
            "privacy": {"key": str(tmp_path / "key"), "folder": str(tmp_path / "private")},
            "stores": str(tmp_path / "stores"),
            "pathvars": {"results": str(tmp_path / "results"), "logs": str(tmp_path / "logs")},
            "vqa": {"findings": 2},
            **OWN_DATA,
            "llm": {role: {"patience": 0.5} | model for role, model in models.items()} | (llm or {}),
        }
        (tmp_path / name).write_text(yaml.safe_dump(content), encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="module")
def sheet(root):
    folder, prompts = root / "workflow" / "anatomy", root / "workflow" / "prompts"
    schema = load_schema(folder / "classes.yaml")
    anatomy = Anatomy(
        schema, load_lexicon(folder / "lexicon.yaml", schema), load_scale(prompts / "score.yaml"), pairs=2
    )
    return lambda role, change=None: AnswerSheet(role, prompts, anatomy, change)


def model(server, **options):
    return {"endpoint": server.endpoint, "model": "wise-1b", **options}


def run(role, site, *words):
    return main(["try-llm", role, "--config", "config.yaml", site, *map(str, words)])


@pytest.mark.parametrize("role", ["judge", "score", "qa", "mentions", "rewrite", "translate"])
def test_each_role_has_a_table_with_its_figures(role, serve, site, sheet, capsys):
    server = serve(sheet(role))
    assert run(role, site(**{role: model(server)}), "--most", 2) == 0
    output = capsys.readouterr().out
    for label in (
        "right, de",
        "right, en",
        "refused",
        "schema obeyed",
        "95th percentile",
        "concurrency to set",
        "hours",
    ):
        assert label in output
    assert "2 at once" in output and "4 at once" not in output


def test_no_text_of_the_site_is_sent_and_nothing_is_stored(serve, site, sheet, tmp_path):
    server = serve(sheet("judge"))
    assert run("judge", site(judge=model(server)), "--most", 1) == 0
    assert run("judge", site(judge=model(server)), "--most", 1) == 0
    assert "Secret" not in json.dumps(server.bodies)
    assert len(server.bodies) == 2 * (len(sheet("judge").items) + 6), "each answer is asked anew"
    assert {path.name for path in tmp_path.iterdir()} == {"reports.csv", "dicom", "site.yaml"}


def test_hours_are_those_of_the_sentences_that_plan_counts(serve, site, sheet, tmp_path, capsys):
    server = serve(sheet("translate"))
    assert run("translate", site(translate=model(server)), "--most", 1, "--json", tmp_path / "out.json") == 0
    (figures,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["models"]
    assert (figures["site_requests"], figures["site_unit"]) == (2, "sentences")
    assert figures["site_hours"] == pytest.approx(2 / figures["throughput"] / 3600)
    assert figures["requests"] == len(sheet("translate").items)
    assert "the hours are those of 2 sentences" in capsys.readouterr().out


def test_hours_are_unknown_where_the_reports_are_missing(serve, site, sheet, tmp_path, capsys):
    path = site(judge=model(serve(sheet("judge"))))
    (tmp_path / "reports.csv").unlink()
    status = run("judge", path, "--most", 1)
    captured = capsys.readouterr()
    assert "no such file or folder" in captured.out + captured.err and "Traceback" not in captured.err
    assert status in (0, 1)


OVERLOOKING = json.dumps({"errors": [], "score": 5})


@pytest.mark.parametrize("form", ["role", "file", "address"])
def test_two_models_are_side_by_side(form, serve, site, sheet, capsys):
    wise, blind = serve(sheet("judge")), serve(lambda _: completion(OVERLOOKING))
    first = site(judge=model(wise), qa={"endpoint": blind.endpoint, "model": "folly"})
    second = site("second.yaml", judge={"endpoint": blind.endpoint, "model": "folly"})
    against = {"role": "qa", "file": second, "address": f"folly@{blind.endpoint}"}[form]
    assert run("judge", first, "--most", 1, "--against", against) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line.split() for line in lines if "folly" in line) == ["wise-1b", "folly"]
    wrong = sum(bool(item.right.errors) for item in sheet("judge").items)
    assert next(line.split()[-2:] for line in lines if "error overlooked" in line) == ["0", str(wrong)]
    assert all(body["model"] == "folly" for body in blind.bodies)


@pytest.mark.parametrize(
    ("words", "models", "message"),
    [
        (["rewriting"], {}, "no role rewriting: the roles are rewrite, translate"),
        (["judge"], {}, "llm.judge names no model"),
        (
            ["judge"],
            {"judge": {"endpoint": "http://127.0.0.1:9/v1", "model": "m"}},
            "no answer from http://127.0.0.1:9/v1",
        ),
        (
            ["judge"],
            {"judge": {"endpoint": "http://127.0.0.1:9/v1", "model": "m", "key": "UNSET_KEY_OF_A_TEST"}},
            "UNSET_KEY_OF_A_TEST, named by the config, is not set",
        ),
        (
            ["judge", "--against", "nothing.yaml"],
            {"judge": {"endpoint": "http://127.0.0.1:9/v1", "model": "m"}},
            "neither a role, nor a config file, nor MODEL@ADDRESS",
        ),
        (["judge", "--most", "0"], {"judge": {"endpoint": "http://127.0.0.1:9/v1", "model": "m"}}, "--most must be"),
    ],
)
def test_what_cannot_be_tried_is_one_line(words, models, message, site, capsys):
    role, *flags = words
    assert run(role, site(**models), *flags) == 1
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("refrad try-llm: ")]
    assert message in line and "Traceback" not in captured.err and captured.out == ""


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((404, {}, b'{"error": "model not found"}'), "it must serve a model of this name"),
        ((400, {}, b"unknown model"), "rejects each request"),
        ((401, {}, b""), "refuses the key"),
        ((429, {"Retry-After": "0"}, b"busy"), "no answer from http"),
    ],
)
def test_model_that_cannot_be_used_is_one_line(reply, message, serve, site, capsys):
    assert run("judge", site(judge=model(serve(lambda _: reply)))) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("refrad try-llm: ")]
    assert len(lines) == 1 and message in lines[0]


def test_missing_prompts_are_one_line(serve, site, sheet, capsys, tmp_path):
    (tmp_path / "prompts").mkdir()
    path = site(judge=model(serve(sheet("judge"))), llm={"prompts": str(tmp_path / "prompts")})
    assert run("judge", path) == 1
    assert "prompts" in capsys.readouterr().err


@pytest.mark.parametrize(
    "reply",
    [
        (200, {}, b"<html>Gateway</html>"),
        (200, {}, b""),
        (500, {}, b"Internal Server Error"),
        completion(None),
        completion('{"errors": ['),
        completion('{"errors": [', "length"),
        completion('{"score": "five"}'),
    ],
)
def test_hostile_server_gives_counts(reply, serve, site, capsys):
    assert run("judge", site(judge=model(serve(lambda _: reply), patience=60)), "--most", 1) == 0
    output = capsys.readouterr().out
    assert (
        "0 of 62 (0%)" in output
        and next(line for line in output.splitlines() if line.startswith("refused")).split()[-1] == "124"
    )
