"""Questions to a trained model, its answers, their scores and errors."""
