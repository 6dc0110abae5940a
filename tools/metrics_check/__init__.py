"""Holds `mu8 eval`'s metrics against libraries that know nothing of mu8: tools/check_metrics."""
