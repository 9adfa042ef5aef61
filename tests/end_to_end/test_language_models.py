"""The workflow with a language model: what it changes in the tables, and what makes which stage run again."""

import json

import polars as pl
import pytest
from tests.llm.talking import TalkingServer, completion

from refrad.anatomy.lexicon import load_lexicon
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language

pytestmark = pytest.mark.slow


@pytest.fixture
def server(root):
    """A model that rewrites nothing, mentions what the lexicon knows, and lies about livers."""
    lexicon = load_lexicon(root / "workflow" / "anatomy" / "lexicon.yaml")

    def behave(body):
        sentence = json.loads(body["messages"][1]["content"])["sentence"]
        if body["response_format"]["json_schema"]["name"] == "rewrite":
            return completion(json.dumps({"sentence": sentence}, ensure_ascii=False))
        found = find_mentions(sentence, detect_language(sentence), lexicon)
        mentions = [
            {
                "span": "Hacked" if "liver" in one.classes else one.text,
                "classes": one.classes,
                "assertion": one.assertion,
            }
            for one in found
        ]
        return completion(json.dumps({"mentions": mentions}, ensure_ascii=False))

    one = TalkingServer(behave)
    yield one
    one.stop()


def test_models_rerun_a_stage_if_their_answers_may_change(project, server):
    model = {"endpoint": server.endpoint, "model": "wise-1b"}
    config = {
        "demo": {"patients": 3},
        "llm": {"rewrite": model, "mentions": model},
        "captions": {"rewrite": "llm"},
        "mentions": {"finder": "both"},
    }
    project.configure(config)
    project.snakemake("mentions")
    captions, mentions = (
        pl.concat([pl.read_parquet(path) for path in (project.folder / "results" / stage).rglob(f"{stage}.parquet")])
        for stage in ("captions", "mentions")
    )
    assert captions["rewriter"].str.contains("wise-1b").all()
    assert set(mentions["backend"]) == {"wise-1b", "lexicon"}
    assert not mentions["text"].str.contains("Hacked").any()
    assert "liver" not in mentions.filter(pl.col("backend") == "wise-1b")["text"].str.to_lowercase().to_list()

    project.configure(config | {"llm": {one: model | {"endpoint": "http://other:8000/v1"} for one in config["llm"]}})
    assert project.planned("mentions") == set()
    prompt = project.folder / "workflow" / "prompts" / "mentions.de.md"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "Sei genau.\n", encoding="utf-8")
    assert project.planned("mentions") == {"mentions_shard"}
    project.configure(config | {"llm": {"rewrite": model | {"model": "wiser-2b"}, "mentions": model}})
    assert project.planned("mentions") == {"captions_shard", "mentions_shard"}

    # Nothing was answered for the new prompt, the rest is in the store: only the new prompt is asked about.
    project.configure(config)
    before = len(server.bodies)
    project.snakemake("mentions")
    asked = {body["response_format"]["json_schema"]["name"] for body in server.bodies[before:]}
    assert asked == {"mentions"}
