"""The trade-off panel: what networks cost against how often they are right, and the smallest that is good enough."""
