"""The cycle panel: ranks that are cut at every step hardly ever grow; in a cycle of some steps they move both ways."""
