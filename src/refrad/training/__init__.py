"""Training RadGrounder and the SigLIP of stage adapt: samples, batches, losses, the loop, saved states.

A model is trained in place in three lines:

    samples = Samples(rows, names, SampleOptions(224, "yxyx", shares, seed=0, augment=None))  # refrad.training.samples
    config = TrainConfig(steps=100, max_seconds=None, batch=8, grad_accumulation=1, learning_rate=1e-4, seed=0)
    state = train(model, processor, samples, Validation(), config)  # refrad.training.step, validation and train_config

The package imports nothing by itself, as its modules import torch.
"""
