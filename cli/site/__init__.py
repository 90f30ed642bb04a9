"""Commands that make and fill a site: init, add, status."""
