"""The fault campaign: a truthful plant, a recorder, and a checker that never asks the agent."""
