"""Label volumes: where they come from, whether they are plausible, and the structures in their slices.

    segmenter = create_segmenter(config.masks, None)  # refrad.segmentation.base
    results = list(segmenter.label(jobs, limits, scratch))
    columns = find_structures(load_labels(path), lut, spacing, rule)  # refrad.segmentation.structure_finder

Segmenters: base, totalsegmentator (with runner, nnunet_patches, cpu_kernels, deshear), precomputed. Labels: labels, borrowing.
Checks: plausibility. Structures: structure_finder. Exports: dicom_seg. The package imports none of them by itself, since some need
torch or pandera.
"""

__all__: list[str] = []
