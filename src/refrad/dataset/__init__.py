"""The dataset: Parquet with the images inside, one row for each image that has a caption.

    for row in read_rows(list_dataset(folder)):  # refrad.dataset.shard_io
        picture = decode_image(row)  # refrad.dataset.image_codec
    leakage = find_leakage(list_dataset(folder), 0.75)  # refrad.dataset.leakage

Rows: columns, shard_rows, image_rows, shard_io, image_codec, examples. Checks: leakage, training_overlap. Metadata: dataset_card,
statistics, terms, metadata. Other formats: exports. Public data: benchmarks. The package imports none of them by itself.
"""

__all__: list[str] = []
