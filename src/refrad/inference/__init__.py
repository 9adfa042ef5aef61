"""Asking a trained RadGrounder: images, generation, predictions."""
