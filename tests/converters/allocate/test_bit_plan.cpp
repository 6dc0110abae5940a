// Bit plans in files: what is read, and what is refused.
#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <string>

#include "converters/allocate/bit_plan.h"
#include "converters/host/error.h"
#include "tests/converters/temp_folder.h"

namespace mu8::convert {
namespace {

using testing::Bytes;
using testing::Contains;
using testing::Folder;
using Bits = std::map<std::string, MuBits>;

Bits Read(const Folder& folder, const std::string& text) {
  return ReadPlan(folder.Write("plan.json", Bytes(text.begin(), text.end())));
}

std::string FailureOf(const std::string& path) {
  try {
    ReadPlan(path);
  } catch (const host::Error& error) {
    return error.what();
  }
  return "";
}

std::string Failure(const Folder& folder, const std::string& text) {
  return FailureOf(folder.Write("plan.json", Bytes(text.begin(), text.end())));
}

TEST_CASE("bit plan: a number or a list for each layer; other keys are not read") {
  const Folder folder;
  const Bits expected = {{"conv1", {3}}, {"fc1", {8, 1, 2}}};
  CHECK(Read(folder, R"({"method": "by hand", "layers": [
      {"name": "conv1", "mu_bits": 3, "score": 0.5}, {"name": "fc1", "mu_bits": [8, 1, 2]}]})") ==
        expected);
  CHECK(Read(folder,
             "\xef\xbb\xbf{\"layers\": [\r\n  {\"name\": \"conv1\", \"mu_bits\": 3},\r\n"
             "  {\"name\": \"fc1\", \"mu_bits\": [8, 1, 2]}\r\n]}\r\n") == expected);
  CHECK(Read(folder, R"({"layers": []})").empty());
}

TEST_CASE("bit plan: what is none is refused with what was found") {
  const Folder folder;
  CHECK(Contains(Failure(folder, "{"),
                 "plan.json: is no JSON (line 1, column 2: it ends there), "
                 "expected {\"layers\""));
  CHECK(Contains(Failure(folder, R"({"layers": [], "layers": []})"),
                 "plan.json: names \"layers\" twice in one object, expected {\"layers\""));
  CHECK(Contains(Failure(folder, R"({"layers": [{"name": "a", "mu_bits": 2, "mu_bits": 3}]})"),
                 "names \"mu_bits\" twice"));
  CHECK(Contains(Failure(folder, std::string("{\"layers\": []}\0", 15)), "column 15: byte 0x00"));
  CHECK(
      Contains(Failure(folder, "{\"a\": " + std::string(100'000, '[')), "has more than 64 lists"));
  CHECK(Contains(Failure(folder, "[]"), "has no list of layers"));
  CHECK(Contains(Failure(folder, R"({"layers": {}})"), "has no list of layers"));
  CHECK(Contains(Failure(folder, R"({"layers": [{"name": "a"}]})"), "layer 0 lacks"));
  CHECK(Contains(Failure(folder, R"({"layers": [{"name": "a", "mu_bits": 9}]})"),
                 "layer 0 has 9 bits"));
  CHECK(Contains(Failure(folder, R"({"layers": [{"name": "a", "mu_bits": [3, 2.5]}]})"),
                 "layer 0 has 2.5 bits"));
  CHECK(Contains(Failure(folder, R"({"layers": [{"name": "a", "mu_bits": 1},
                                                {"name": "a", "mu_bits": 1}]})"),
                 "layer 1 names 'a' again"));
}

TEST_CASE("bit plan: a file that is missing, empty or too large is refused unread") {
  const Folder folder;
  CHECK(FailureOf(folder.path("none.json")) ==
        folder.path("none.json") + ": no such file, expected a bit plan (JSON)");
  CHECK(Contains(Failure(folder, ""), "the file is empty, expected a bit plan (JSON)"));
  const std::string path = folder.Write("large.json", {'{'});
  std::filesystem::resize_file(path, (std::uintmax_t{64} << 20) + 1);
  CHECK(Contains(FailureOf(path), "expected a bit plan (JSON) of at most 67108864"));
}

}  // namespace
}  // namespace mu8::convert
