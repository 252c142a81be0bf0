"""The decision brief: what was measured, what it saves, what it risks, and what to do next, on two pages."""
