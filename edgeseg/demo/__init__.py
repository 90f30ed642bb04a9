"""A synthetic site with ground truth and drift."""
