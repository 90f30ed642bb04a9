"""Methods of the papers' comparison tables, faithful to their core idea, small; "baseline" in the
catalogue.
"""
