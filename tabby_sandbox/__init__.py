"""A stand-in for a TabbyAPI server: same protocol, pretend models, scripted delays and faults."""
