"""How all figures look: the picture itself, styles of networks by method, labels, fonts."""
