from refrad.reporting.flags import flagged_figures


def figures(study, schema):
    study.structures()
    paths = ([study.path(name)] for name in ("flags", "volumes", "masks"))
    return flagged_figures(*paths, study.volume_store, study.mask_store, schema, 4)


def test_a_flagged_volume_is_shown_once_with_what_is_wrong(study, schema):
    (figure,) = figures(study, schema)
    assert figure["picture"].startswith("data:image/png")
    assert figure["caption"].startswith("CT, axial: right kidney, flag volume, 1.2 ml (plausible: 43.67 to 444)")


def test_no_flags_no_pictures(study, schema):
    assert flagged_figures([], [], [], study.volume_store, study.mask_store, schema, 4) == []
