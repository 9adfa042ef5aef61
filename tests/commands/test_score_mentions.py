import json
import re

import pytest
import yaml

from refrad.commands.score_mentions import main


def test_the_finder_agrees_with_the_labelled_sentences(shared, capsys):
    main(gold=shared / "keywords" / "dev.jsonl")
    scores = [float(found) for found in re.findall(r"F1 ([\d.]+)", capsys.readouterr().out)]
    assert len(scores) == 2 and min(scores) > 0.95


def test_schema_limits_the_mentions_to_its_classes(root, tmp_path, capsys):
    anatomy = root / "workflow" / "anatomy"
    line = {"id": "1", "sentence": "Leber und Milz.", "language": "de"}
    line["entities"] = [{"classes": ["liver"]}, {"classes": ["spleen"]}]
    (tmp_path / "gold.jsonl").write_text(json.dumps(line), encoding="utf-8")
    main(tmp_path / "gold.jsonl", lexicon=anatomy / "lexicon.yaml", schema=anatomy / "classes.yaml")
    assert "2 right, 0 extra, 0 missed" in capsys.readouterr().out
    schema = yaml.safe_load((anatomy / "classes.yaml").read_text(encoding="utf-8"))
    schema["classes"] = [row for row in schema["classes"] if row["name"] != "spleen"]
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(schema), encoding="utf-8")
    with pytest.raises(ValueError, match="spleen"):
        main(tmp_path / "gold.jsonl", lexicon=anatomy / "lexicon.yaml", schema=tmp_path / "classes.yaml")
