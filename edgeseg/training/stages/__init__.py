"""Methods that train in stages: each stage a training of its own, with pseudo-labels of the footage
in between.
"""
