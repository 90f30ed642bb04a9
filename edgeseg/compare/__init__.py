"""Several training methods over several seeds at one budget of optimiser steps, on the user's own
site.
"""
