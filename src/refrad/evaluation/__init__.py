"""Evaluation of a trained model: questions about test images, cached answers, scores and error analysis.

    questions = build_questions(image)                                             # refrad.evaluation.questions
    answers = CachedGenerator(processor, inputs, store, 16, limits).generate(model, weights, questions)   # refrad.evaluation.answer_cache
    items, counts = score_items(truth, predictions)                                # refrad.evaluation.metrics.scoring

`refrad.evaluation.metrics` is the only scorer; it needs neither a model nor torch.
"""
