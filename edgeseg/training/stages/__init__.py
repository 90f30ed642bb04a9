"""Methods that train in stages, with pseudo-labels of the footage in between."""
