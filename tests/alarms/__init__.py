"""Tests of the way from the journal to the broker."""
