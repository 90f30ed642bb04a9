"""Methods of the comparison tables, each small, faithful to its core idea, marked as a baseline in the catalogue."""
