import polars as pl

from refrad.tables import QuestionTable, read_table

TEXT = "Liver and both kidneys are normal."


def ask(study, findings=5, metadata=3):
    study.structures()
    study.grounded(
        [study.caption("c", TEXT)], study.mention("c", TEXT, "Liver", 5) + study.mention("c", TEXT, "kidneys", 2, 3)
    )
    metrics = study.run("vqa", {"writer": "templates", "findings": findings, "metadata": metadata})
    return metrics, read_table(study.path("questions"), QuestionTable)


def test_every_grounded_image_is_asked_about_in_the_language_of_its_caption(study):
    metrics, questions = ask(study)
    assert metrics["flow"]["taken"] == metrics["flow"]["used"] == questions["instance"].n_unique()
    assert set(questions["language"]) == {"en"}
    assert set(questions["backend"]) == {"templates"}


def test_the_number_of_questions_is_a_limit(study):
    _, questions = ask(study, findings=2, metadata=1)
    counts = questions.group_by("instance", "topic").len()
    assert counts.filter(pl.col("topic") == "findings")["len"].max() <= 2
    assert counts.filter(pl.col("topic") == "metadata")["len"].max() <= 1


def test_no_pair_fails_its_checks(study):
    metrics, _ = ask(study)
    assert set(metrics["tables"]["checks"]) == {"passed"}
