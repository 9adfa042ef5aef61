import pytest

from refrad.language.detection import detect_language


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Die Leber ist normal.",
            "Leber normal. Nieren normal.",
            "Steatosis hepatis.",
            "Splenomegalie.",
            "BEFUND: LEBER NORMAL.",
        ),
        *(
            "Herz normal. Aorta normal.",
            "Prostata normal.",
            "Pneumonie rechts.",
            "Divertikulose.",
            "Nierenzyste.",
            "Knie normal.",
        ),
        *("Spinalkanalstenose.", "Aszites.", "Magen und Darm normal.", "Lunge frei."),
    ],
)
def test_short_german_text_is_german(text):
    assert detect_language(text) == "de"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "The liver is normal.",
            "Liver normal. Kidneys normal.",
            "Hepatic steatosis.",
            "Splenomegaly.",
            "FINDINGS: NORMAL.",
        ),
        *(
            "Aorta normal. Heart normal.",
            "Thyroid normal.",
            "Right pneumonia.",
            "Diverticulosis.",
            "Renal cyst.",
            "Knee normal.",
        ),
        *("Spinal stenosis.", "Ascites.", "Normal chest CT.", "Pulmonary embolism."),
    ],
)
def test_short_english_text_is_english(text):
    assert detect_language(text) == "en"
