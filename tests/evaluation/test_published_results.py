from refrad.evaluation.published_results import published


def test_f1_of_benchmarks_is_over_all_questions():
    numbers = published("detection", similar_names=True)
    assert numbers["slake", "vqa", "f1_all"] == (0.877, None) and numbers["vqa-rad", "vqa", "f1_all"] == (0.507, None)
    assert ("slake", "vqa", "f1") not in numbers and ("internal", "vqa", "f1") in numbers


def test_captions_of_the_report_task_are_not_those_with_boxes():
    assert ("internal", "detect", "cider_released") not in published("detection", similar_names=True)
    assert published("segmentation", similar_names=True)["internal", "caption", "cider_released"] == (0.369, None)


def test_g_iou_is_published_for_similar_names_alone():
    assert published("detection", similar_names=True)["internal", "detect", "g_iou"] == (0.436, 0.016)
    assert ("internal", "detect", "g_iou") not in published("detection", similar_names=False)


def test_benchmarks_of_the_segmentation_variant_have_their_own_numbers():
    numbers = published("segmentation", similar_names=True)
    assert numbers["slake", "vqa", "f1"] == (0.86, None)  # of open questions: the F1 over all of them is not published
    assert ("slake", "vqa", "f1_all") not in numbers and numbers["vqa-rad", "vqa", "f1_all"] == (0.50, None)
    assert numbers["slake", "vqa", "llm_score"] == ((4.49 - 1) / 4, None)  # the scale from 1 to 5 as 0 to 1
