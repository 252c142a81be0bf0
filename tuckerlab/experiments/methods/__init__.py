"""Other ways to make a network small, with the same images and as many gradient evaluations: one file each."""
