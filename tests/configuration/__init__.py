"""Every mistake a person can write, and what they are told."""
