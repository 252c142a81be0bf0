"""How all figures look: the picture itself, its letters and labels, styles of networks by method."""
