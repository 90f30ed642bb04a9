"""Methods that make their pseudo-labels anew in every step, and the supervised floor."""
