"""Where caption and image agree: triplets, targets and questions."""
