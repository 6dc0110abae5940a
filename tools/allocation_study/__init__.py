"""Compares the methods of `mu8 allocate` by what their files can do: tools/study_allocation."""
