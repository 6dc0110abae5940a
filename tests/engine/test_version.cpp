// mu8/version.h against the project's version in CMakeLists.txt.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "mu8/version.h"

namespace mu8::testing {
namespace {

TEST_CASE("version: the header's is the project's") {
  std::ifstream file("CMakeLists.txt");
  std::string line;
  const std::string start = "project(mu8 VERSION ";
  while (std::getline(file, line) && !line.starts_with(start)) {
  }
  REQUIRE(line.starts_with(start));
  std::istringstream text(line.substr(start.size()));
  std::uint32_t major = 0, minor = 0, patch = 0;
  char dot = 0;
  text >> major >> dot >> minor >> dot >> patch;
  REQUIRE(text);
  CHECK(kLibraryVersion == (major << 16 | minor << 8 | patch));
}

}  // namespace
}  // namespace mu8::testing
