"""The cycle panel: ranks that are cut at every step can only shrink; in a cycle of some steps they move both ways."""
