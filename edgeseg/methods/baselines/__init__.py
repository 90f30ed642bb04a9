"""Methods of the comparison tables, each faithful to its core idea, small, and marked as a baseline in the catalogue."""
