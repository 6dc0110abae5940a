// Names and indices of outputs: what each spelling means, and what is refused as ambiguous.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tools/mu8/command.h"
#include "tools/mu8/output_names.h"

namespace mu8::tool {
namespace {

using Names = std::vector<std::string>;
using Indices = std::vector<std::uint32_t>;

const Names kAnimals = {"cat", "dog", "big, grey fish"};
// Digits in another order: each but 1 is an index and another output's name.
const Names kDigits = {"2", "1", "0", "seven"};

std::string Refusal(const std::string& text, const Names& names) {
  try {
    ParseOutputs("--stop-class", text, names);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

void Means(const std::string& text, const Names& names, const Indices& indices, bool several) {
  CAPTURE(text);
  const ChosenOutputs found = ParseOutputs("--stop-class", text, names);
  CHECK(found.indices == indices);
  CHECK(found.several == several);
}

TEST_CASE("output names: a name, an index, a list, all") {
  Means("dog", kAnimals, {1}, false);
  Means("1", kAnimals, {1}, false);
  Means("01", kAnimals, {1}, false);
  Means("index:1", kAnimals, {1}, false);
  Means("name:dog", kAnimals, {1}, false);
  Means("dog,cat", kAnimals, {0, 1}, true);
  Means("2,cat", kAnimals, {0, 2}, true);
  Means("all", kAnimals, {0, 1, 2}, true);
  Means("all", {"cat"}, {0}, true);
  Means("big, grey fish", kAnimals, {2}, false);
  Means("2", Names(3), {2}, false);
  Means("all", Names(3), {0, 1, 2}, true);
}

TEST_CASE("output names: a name that is another's index is never guessed") {
  Means("1", kDigits, {1}, false);
  Means("3", kDigits, {3}, false);
  Means("index:0", kDigits, {0}, false);
  Means("name:0", kDigits, {2}, false);
  Means("name:0,name:2", kDigits, {0, 2}, true);
  CHECK(Refusal("0", kDigits) ==
        "--stop-class: \"0\" may be output 0 (\"2\") or 2 (\"0\"), expected index:0 or index:2");
  CHECK(
      Refusal("seven,2", kDigits).starts_with("--stop-class: \"2\" may be output 0 (\"2\") or 2"));
  CHECK(Refusal("cat", {"cat", "dog", "cat"}) ==
        "--stop-class: \"cat\" may be output 0 (\"cat\") or 2 (\"cat\"), expected index:0 or "
        "index:2");
  CHECK(Refusal("all", {"none", "all"}) ==
        "--stop-class: \"all\" may be every output or output 1 (\"all\"), expected name:all or a "
        "list");
  Means("name:all", {"none", "all"}, {1}, false);
  CHECK(Refusal("a,b", {"a", "b", "a,b"}) ==
        "--stop-class: \"a,b\" may be output 2 (\"a,b\") or a list, expected indices");
}

TEST_CASE("output names: what is none, or is there twice, is refused with what there is") {
  const std::string is = "expected all, or names or indices with commas; the outputs are ";
  const std::string animals = is + "0 (\"cat\"), 1 (\"dog\"), 2 (\"big, grey fish\")";
  for (const char* text : {"horse", "3", "-1", "1.0", "index:3", "name:", "index:dog", "name:1",
                           "Dog", "4294967297"}) {
    CHECK(Refusal(text, kAnimals) == "--stop-class: is \"" + std::string(text) + "\", " + animals);
  }
  for (const char* text : {"", "cat,", "cat,,dog", ","}) {
    CHECK(Refusal(text, kAnimals) == "--stop-class: is \"\", " + animals);
  }
  CHECK(Refusal("cat", Names(4)) == "--stop-class: is \"cat\", " + is + "0 to 3, without names");
  CHECK(Refusal("cat,1,0", kAnimals) ==
        "--stop-class: output 0 (\"cat\") is there twice, expected each once");
  // A file's thousands are not all listed.
  Names many(1000, "x");
  CHECK(Refusal("y", many).ends_with(", 49 (\"x\") and 950 more, which mu8 inspect lists"));
}

}  // namespace
}  // namespace mu8::tool
