"""Sentences of the pages about stages and reasons."""

from collections.abc import Mapping

from refrad.dicom.reasons import REASONS as IMAGING_REASONS
from refrad.grounding.pairing import REASONS as GROUNDING_REASONS
from refrad.grounding.vqa_checks import REASONS as PAIR_REASONS
from refrad.workflow.stages import STAGES as RECORDS

__all__ = ["METRIC_NAMES", "REASONS", "STAGES", "TABLE_TITLES", "TASK_NAMES"]

STAGES: Mapping[str, str] = {stage.name: stage.sentence for stage in RECORDS.values() if stage.name != "report"}

# Stage to the tables of its metrics whose names lack what they count.
TABLE_TITLES: Mapping[str, Mapping[str, str]] = {
    "index": {
        "burned-in text": "images by burned-in text, as the header has it",
        "modality": "files by modality",
        "shard": "patients by shard",
        "split": "patients by split",
    },
    "volumes": {
        "body part": "volumes by body part, as the header has it",
        "burned-in text": "volumes by burned-in text, as the header has it",
        "mm between pixels": "volumes by mm between pixels",
        "mm between slices": "volumes by mm between slices",
        "modality": "volumes by modality",
        "plane": "volumes by plane",
        "slices a volume": "volumes by number of slices",
    },
    "masks": {"labels per volume": "volumes by number of labels", "seconds per volume": "volumes by seconds of work"},
    "captions": {
        "language": "captions by language",
        "references": "references to images",
        "rewriter": "captions by rewriter",
        "scrubbed": "removed identifiers by kind",
        "section": "captions by section",
        "sections": "sections of the reports",
        "tie": "captions by tie to an image",
        "translator": "captions by translator",
    },
    "mentions": {
        "assertion": "mentions by assertion",
        "class in de": "mentions by class, German",
        "class in en": "mentions by class, English",
    },
    "grounded": {
        "captions by their pairs": "captions by their pairs",
        "pairs": "pairs of caption and image",
        "references": "references to images",
        "sides of phrases": "entities by sides of the phrase",
        "tie of kept pairs": "kept pairs by tie",
        "tie of ungrounded pairs": "ungrounded pairs by tie",
        "via": "entities by via",
        "yield": "captions left after each step",
    },
    "vqa": {"checks": "questions by outcome of the checks", "kind": "questions by kind"},
    "shards": {
        "captions": "captions by grounding",
        "modality": "images by modality",
        "plane": "images by plane",
        "split": "images by split",
    },
    "train": {
        "public images": "images of public sets",
        "split": "images by split",
        "task": "samples by task",
        "validation samples": "validation samples by task",
    },
}

METRIC_NAMES: Mapping[str, str] = {
    "iou": "IoU",
    "dice": "Dice",
    "class_recall": "named structures with a region",
    "iou50": "share with an IoU of 0.5 or more",
    "g_iou": "G-IoU of phrases and regions",
    "f1": "token F1 of open questions",
    "f1_all": "token F1 of all questions",
    "recall": "share of the true words",
    "measure_f1": "token F1 with units",
    "accuracy": "strict accuracy of closed questions",
    "accuracy_lenient": "lenient accuracy of closed questions",
    "cider_classic": "CIDEr (0 to 10)",
    "cider_released": "CIDEr as the paper computes it (0 to 10)",
    "finding_dice": "Dice of findings",
    "hit10": "findings hit (Dice of 0.1 or more)",
    "instance_recall": "recall of instances",
    "instance_precision": "precision of instances",
    "instance_f1": "F1 of instances",
    "pointing": "pointing game",
    "side_accuracy": "findings on the correct side",
    "specificity": "absent findings without a region",
    "bleu4": "BLEU-4 of each text",
    "rougel": "ROUGE-L",
    "bertscore": "BERTScore",
    "llm_score": "LLMScore (0 to 1)",
}
TASK_NAMES: Mapping[str, str] = {
    "locate": "structures that the prompt names",
    "detect": "captions with regions",
    "caption": "captions",
    "vqa": "questions",
}

REASONS: Mapping[str, str] = {
    **IMAGING_REASONS,
    "withdrawn": "The patient has withdrawn: see `refrad forget`.",
    # of volumes, found by stage masks
    "no_precomputed_mask": "The table of the site's masks names none for the volume.",
    "ambiguous_mask": "Rows of the table of the site's masks name different ones for the volume.",
    "mask_missing": "The mask that the table names is not in its folder, or is a folder without NIfTI files; .zip files are not looked into.",
    "mask_not_nifti": "The given mask is no NIfTI file; other formats, such as NRRD, MetaImage and DICOM, are not read.",
    "unreadable_mask": "The given mask is empty or damaged, or the job may not read it.",
    "mask_beyond_limits": "Reading the given mask crashed, or took more than masks.memory_gb or masks.minutes.",
    "mask_not_3d": "The given mask has no voxels, or not three axes.",
    "mask_no_geometry": "The header of the given mask has no valid affine, or two that contradict each other.",
    "mask_not_labels": "The given mask holds values that are not whole numbers from 0 to 255, or changes from voxel to voxel as images do.",
    "mask_not_binary": "A file of a class in the given mask holds more than one value besides 0, such as probabilities.",
    "mask_grids_differ": "The files of the classes in the given mask have different grids.",
    "mask_classes_overlap": "Several classes of the given mask claim the same voxels, or two files are of one class.",
    "mask_unknown_classes": "No class that the given mask names is one of the TotalSegmentator task.",
    "mask_elsewhere": "The given mask covers less of the volume than masks.minimum_coverage.",
    "mask_flipped": "The given mask would fit the volume distinctly better if it were flipped, such as upside down or left to right.",
    "mask_disagrees": "The given mask does not fit the content of the volume: it is shifted, of another patient, or lies in the wrong tissue.",
    "mask_shifted": "The given mask has the voxels of the volume, but up to half a voxel or more beside them.",
    "segmenter_failed": "The segmenter failed on the volume twice; the log of the shard has the error.",
    "segmenter_crashed": "The segmenting process crashed on the volume twice.",
    "over_time": "The segmenter took longer for the volume than masks.minutes, twice.",
    "over_memory": "The segmenter took more memory for the volume than masks.memory_gb, twice.",
    "rois_not_in_task": "None of the classes in masks.rois exists for the modality of the volume.",
    # of slices, found by stage structures
    "no_mask": "The slice belongs to a volume without labels.",
    "implausible": "The labels of the volume are not plausible, and structures.implausible is set to quarantine it.",
    "no_structure": "No class of the schema is in the slice, or only outliers or fragments of one.",
    # of sentences, found by stage captions
    "no_study": "The report fits no study of the delivery.",
    "ambiguous_study": "The report fits several studies, or its ids are spelled like those of another.",
    "broken_row": "The row of the table cannot be read: a quote or delimiter is wrong, or its width is not the header's.",
    "too_long_report": "The text is longer than a million characters.",
    "unreadable_rtf": "No text could be read from Rich Text.",
    "unreadable_hl7": "No text observation is in the HL7 message.",
    "unreadable_html": "No text could be read from HTML.",
    "unreadable_xml": "The XML document has no section of text, or defines entities.",
    "unreadable_pdf": "The report is a PDF file.",
    "unreadable_docx": "The report is a Word file or another archive.",
    "no_text": "The report has no text.",
    "no_report_id": "The row has no report id.",
    "report_without_images": "No series of the report's study became a volume.",
    "replaced_report": "A later row of the table has the same report id.",
    "duplicate_sentence": "The report has the same sentence twice.",
    "empty_after_scrub": "Nothing but identifiers, references or comparisons was in the sentence.",
    "not_read": "The sentence is in a part of the report that is not used: letterhead, technique, comparison, closing, a table.",
    "context": "The sentence is clinical information or the question, which each caption has as a column.",
    "superseded": "An addendum says that the report was wrong, and quotes the sentence or names the same anatomy.",
    "only_comparison": "Nothing was left of the sentence without its comparison with another examination.",
    # of captions, found by stages mentions and grounded
    **GROUNDING_REASONS,
    **PAIR_REASONS,
    # of images, found by stages vqa, shards and train
    "no_question": "No question about the image: none passed the checks, or no other image of the shard has another answer.",
    "rejected": "Reviewers rejected all captions of the image.",
    "test_patient": "The patient is for testing only.",
    "also_in_test": "The image, or one nearly the same, is also a test image.",
    "no_caption_in_language": "The image has no caption in the language that adapt.language names.",
}
