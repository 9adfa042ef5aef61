"""From volumes to label volumes, and from labels to the structures of each slice."""
