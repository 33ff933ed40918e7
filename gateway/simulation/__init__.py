"""Simulation: wave forms, faults, and a loopback broker, for the demo and the tests."""
