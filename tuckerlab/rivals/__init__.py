"""Other ways to make a network small, trained on the same images for the same number of steps: one file each."""
