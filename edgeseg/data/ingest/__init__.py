"""`edgeseg add`: footage and labels, as people hand them in, become frames and masks of a site."""
