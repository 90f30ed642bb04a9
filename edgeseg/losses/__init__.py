"""Losses as pure functions: one file for each paper or term, without optimizer or device."""
