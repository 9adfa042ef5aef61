"""Training RadGrounder: samples, batches, losses, optimizer, loop, checkpoints, several GPUs."""
