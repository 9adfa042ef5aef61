"""Captions and images that agree on anatomy: pairs, their entities, and question-answer pairs.

    match = class_matcher(schema, "expand")
    images = StudyImages(slices).with_largest(mentions, match, count=3)
    entities = [ground_mentions(mentions, image.areas, match) for image in images]

Questions are written by `vqa_templates` or `vqa_llm`, and checked by `vqa_checks`.
"""

from refrad.grounding.pairing import Entity, GroundableMention, Slice, StudyImages, class_matcher, ground_mentions

__all__ = ["Entity", "GroundableMention", "Slice", "StudyImages", "class_matcher", "ground_mentions"]
