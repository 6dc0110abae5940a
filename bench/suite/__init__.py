"""What tools/bench runs, measures and writes."""
