// What a user is told of how long work takes.
#include <doctest/doctest.h>

#include "tools/mu8/progress.h"

namespace mu8::tool {
namespace {

TEST_CASE("progress: the time left is told once it is known, of long work alone") {
  CHECK(TimeLeft(2.9, 0.01) == "");  // too early to tell
  CHECK(TimeLeft(5.0, 0.0) == "");   // nothing is done
  CHECK(TimeLeft(5.0, 0.25) == "");  // 20 s in all
  CHECK(TimeLeft(5.0, 0.1) == "about 45 s");
  CHECK(TimeLeft(60.0, 0.25) == "about 3 min");
  CHECK(TimeLeft(59.9, 0.999) == "");  // done in a moment
}

}  // namespace
}  // namespace mu8::tool
