"""The commands that train, one file each; `tuckerlab.cli.main` puts them together.

A file loads what it needs when its command runs, so that `tuckerlab --help` answers at once.
"""
