"""RadGrounder itself: processor, networks, prompts, box tokens, the forward pass.

A checkpoint is loaded in three lines, the third of which parses an answer:

    processor = load_processor(folder)  # refrad.model.processor
    model = load_model(folder, processor)  # refrad.model.radgrounder
    parsed = parse_detection(answer, order="yxyx")  # refrad.model.box_tokens

The package imports nothing by itself, so that box tokens and prompts are usable without torch.
"""
