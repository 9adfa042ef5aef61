"""HTML pages of a run: one for each stage, the gallery, the index and the audit sheet.

    rows = read_images(shards, choose_images(frame, 60))  # refrad.dataset.shard_io, refrad.reporting.gallery
    pictures = pictures_of_rows(rows, PictureSources(volumes, store), schema)  # refrad.reporting.card_pictures
    cards = build_cards(rows, pictures, schema)  # refrad.reporting.gallery
    text = render_gallery(cards, stages)  # refrad.reporting.pages

Pages: pages, run_summary, evaluation_page, audit_sheet, wording. Their parts: gallery, dropped_pairs, card_pictures, drawing, palette,
overlay, views, flags, bins, job_states, sentence_index, templating. The package imports none of them by itself.
"""

__all__: list[str] = []
