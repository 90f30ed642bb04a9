"""Commands that make, judge and time bundles: export, build, bench, eval."""
