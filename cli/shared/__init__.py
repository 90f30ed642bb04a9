"""What several commands share: their options, the site and bundle they use, and the console."""
