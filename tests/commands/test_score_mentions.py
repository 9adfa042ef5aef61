import re

from refrad.commands.score_mentions import main


def test_the_finder_agrees_with_the_labelled_sentences(shared, capsys):
    main(gold=shared / "keywords" / "dev.jsonl")
    scores = [float(found) for found in re.findall(r"F1 ([\d.]+)", capsys.readouterr().out)]
    assert len(scores) == 2 and min(scores) > 0.95
