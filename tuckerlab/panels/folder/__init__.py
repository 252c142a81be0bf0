"""Look before you train: a folder of images of your own, and what is right and wrong with it."""
