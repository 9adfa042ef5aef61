"""Predictions of a trained RadGrounder: images from files, generation, regions.

An image is captioned in three lines:

    predictor = Predictor(Path("results/train/demo"))  # refrad.inference.predictor
    prediction = predictor.predict(Path("image.dcm"))
    boxes = [(region.phrase, region.box) for region in prediction.regions]

The package imports nothing by itself, as its modules import torch.
"""
