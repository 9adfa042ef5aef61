from refrad.core.contracts import FlagTable, MaskTable, VolumeTable
from refrad.core.tables import frame_of, read_table
from refrad.reporting.flags import flagged_figures


def figures(study, schema):
    study.structures()
    contracts = {"flags": FlagTable, "volumes": VolumeTable, "masks": MaskTable}
    tables = [read_table(study.path(name), contract) for name, contract in contracts.items()]
    return flagged_figures(*tables, study.volume_store, study.mask_store, schema, 4)


def test_flagged_volume_has_one_figure_with_the_reasons(study, schema):
    (figure,) = figures(study, schema)
    assert figure["picture"].startswith("data:image/png")
    assert figure["caption"].startswith("CT, axial: right kidney, flag volume, 1.2 ml (plausible: 43.67 to 444)")


def test_no_flags_give_no_figures(study, schema):
    tables = [frame_of([], contract) for contract in (FlagTable, VolumeTable, MaskTable)]
    assert flagged_figures(*tables, study.volume_store, study.mask_store, schema, 4) == []
