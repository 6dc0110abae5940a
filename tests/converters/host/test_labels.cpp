// Class names in files that people wrote on any system.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "converters/host/error.h"
#include "converters/host/labels.h"
#include "tests/converters/temp_folder.h"

namespace mu8::host {
namespace {

using testing::Bytes;
using testing::Contains;
using testing::Folder;
using Names = std::vector<std::string>;

Names Read(const Folder& folder, const std::string& text) {
  return ReadLabels(folder.Write("labels.txt", Bytes(text.begin(), text.end())));
}

std::string Failure(const Folder& folder, const std::string& text) {
  try {
    Read(folder, text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("labels: line ends of every system, and what stands before and behind the names") {
  const Folder folder;
  for (const char* text :
       {"cat\nsea lion\nowl", "cat\nsea lion\nowl\n", "cat\r\nsea lion\r\nowl\r\n",
        "\xef\xbb\xbf"
        "cat\r\nsea lion\r\nowl",
        " cat\t\nsea lion \nowl\n\n\r\n\n"}) {
    CAPTURE(text);
    CHECK(Read(folder, text) == Names{"cat", "sea lion", "owl"});
  }
  CHECK(Read(folder, "caf\xc3\xa9") == Names{"caf\xc3\xa9"});
}

TEST_CASE("labels: empty lines between names are refused, all of them") {
  const Folder folder;
  const std::string failure = Failure(folder, "cat\n\ndog\n \t\nowl\n");
  CHECK(Contains(failure, "labels.txt: line 2 is empty, expected a class name\n"));
  CHECK(Contains(failure, "labels.txt: line 4 is empty"));
  CHECK(Contains(Failure(folder, "\ncat\n"), "line 1 is empty"));
}

TEST_CASE("labels: a file without names, missing or too large is refused") {
  const Folder folder;
  CHECK(Contains(Failure(folder, ""), "the file is empty, expected class names, one per line"));
  CHECK(Contains(Failure(folder, "\n\r\n"), "names no class, expected one name per line"));
  const std::string path = folder.Write("large.txt", {'a'});
  std::filesystem::resize_file(path, (std::uintmax_t{16} << 20) + 1);
  const auto failure = [](const std::string& file) -> std::string {
    try {
      ReadLabels(file);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(Contains(failure(path),
                 "has 16777217 bytes, expected class names, one per line of at "
                 "most 16777216"));
  CHECK(Contains(failure(folder.path("none.txt")), "none.txt: no such file"));
}

TEST_CASE("labels: the first two classes of one name are told") {
  CHECK(SharedLabel({}).empty());
  CHECK(SharedLabel({"crane", "Crane", "owl"}).empty());
  CHECK(SharedLabel({"owl", "crane", "maillot", "crane", "maillot"}) ==
        "classes 1 and 3 are both named 'crane'");
}

}  // namespace
}  // namespace mu8::host
