"""The dataset itself: shards, splits, card, exports."""
