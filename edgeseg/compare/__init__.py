"""Several training methods over several seeds at one budget of optimizer steps, on the user's own
site.
"""
