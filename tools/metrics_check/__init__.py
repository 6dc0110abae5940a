"""Holds the metrics of `mu8 eval` against libraries that know nothing of mu8: tools/check_metrics."""
