"""RadGrounder itself: processor, networks, prompts, box tokens, the forward pass."""
