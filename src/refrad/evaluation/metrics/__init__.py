"""Scores of any model's answers: grounding, text and judge metrics, agreement of raters, intervals.

truth = read_records(Path("truth.jsonl"), TruthRecord)                         # refrad.evaluation.metrics.records
answers = read_records(Path("predictions.jsonl"), PredictionRecord, truth)
items, counts = score_items(truth, answers)                                    # refrad.evaluation.metrics.scoring
rows = summarise(items, resamples=10_000)                                      # refrad.evaluation.metrics.summary
"""
