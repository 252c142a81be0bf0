"""Bring your own images: look at them, then train on them."""
