// The test program of either executable. Run from the repository's root: data files are named
// relative to it. Options: doctest's own; MU8_UPDATE_GOLDEN=1 in the environment rewrites the files
// in tests/data/{golden,invalid} instead of only checking them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
