// One file per rule that Open enforces: each must be rejected with exactly the status in its name,
// and with a diagnostic that names the field that is wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "formats/reader.h"
#include "mu8/mu8.h"
#include "tests/formats/invalid_files.h"
#include "tests/support/aligned_bytes.h"
#include "tests/support/golden.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

const std::filesystem::path kFolder = "tests/data/invalid";

// The names of the codes: rows "| 31 | output_shape | ..." of FORMAT.md section 11.
std::map<int, std::string> CodeNames() {
  std::ifstream document("formats/FORMAT.md");
  std::map<int, std::string> names;
  bool here = false;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("## ")) here = line.starts_with("## 11.");
    std::istringstream row(line);
    std::string bar;
    std::string name;
    int code = 0;
    if (here && line.starts_with("| ") && row >> bar >> code >> bar >> name) names[code] = name;
  }
  return names;
}

// All files by name.
std::map<std::string, InvalidFile> NamedFiles() {
  const std::map<int, std::string> codes = CodeNames();
  std::map<std::string, InvalidFile> named;
  std::set<Status> seen;
  for (const InvalidFile& file : AllInvalidFiles()) {
    const int code = static_cast<int>(file.diagnostic.status);
    const auto known = codes.find(code);
    CAPTURE(code);
    REQUIRE(known != codes.end());
    const bool first = seen.insert(file.diagnostic.status).second;
    const std::string name =
        std::to_string(code) + "_" + known->second + (first ? "" : "_" + file.which) + ".mu8";
    CAPTURE(name);
    CHECK(named.emplace(name, file).second);
  }
  return named;
}

// What Open says of bytes that end at a guard page; the model must stay the one that it was.
Status StatusOf(std::span<const std::byte> bytes, Diagnostic* diagnostic) {
  static const std::vector<std::byte> kValid = format::Write(TinyModel(4).content);
  static const AlignedBytes kBefore(kValid);
  Model model;
  REQUIRE(Model::Open(kBefore.span(), &model) == Status::kOk);
  const std::uint64_t hash = model.hash();
  GuardedBuffer guarded(bytes.size());
  const Status status = Model::Open({guarded.CopyLast(bytes), bytes.size()}, &model, diagnostic);
  CHECK(model.bytes().data() == kBefore.data());
  CHECK(model.bytes().size() == kValid.size());
  CHECK(model.hash() == hash);
  return status;
}

TEST_CASE("invalid files: the committed files are those that the generator makes") {
  const auto made = NamedFiles();
  for (const auto& named : made) {
    const std::string name = named.first;
    const InvalidFile& file = named.second;
    if (UpdateGolden()) WriteFile(kFolder / name, file.bytes);
    CAPTURE(name);
    CHECK(ReadFile(kFolder / name) == file.bytes);
    CHECK(file.bytes.size() <= 16384);
  }
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::string name = entry.path().filename();
    if (entry.path().extension() != ".mu8") continue;
    if (UpdateGolden() && !made.contains(name)) std::filesystem::remove(entry.path());
    CAPTURE(name);
    CHECK(made.contains(name));
  }
}

TEST_CASE("invalid files: each is rejected with the status in its name and its diagnostic") {
  const std::map<std::string, InvalidFile> made = NamedFiles();
  std::size_t rejected = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".mu8") continue;
    const std::string name = entry.path().filename();
    CAPTURE(name);
    Diagnostic diagnostic;
    const Status status = StatusOf(ReadFile(entry.path()), &diagnostic);
    CHECK(static_cast<int>(status) == std::stoi(name));
    const auto file = made.find(name);
    REQUIRE(file != made.end());
    const Diagnostic& expected = file->second.diagnostic;
    CHECK(diagnostic.status == status);
    CHECK(diagnostic.option == Option::kNone);
    CHECK(diagnostic.offset == expected.offset);
    CHECK(diagnostic.layer == expected.layer);
    CHECK(diagnostic.tensor == expected.tensor);
    CHECK(diagnostic.found == expected.found);
    CHECK(diagnostic.expected == expected.expected);
    CHECK(diagnostic.found != diagnostic.expected);
    ++rejected;
  }
  MESSAGE("invalid files rejected: " << rejected);
  CHECK(rejected == AllInvalidFiles().size());
}

TEST_CASE("invalid files: every status that Open returns has one, and a name in FORMAT.md") {
  std::set<int> covered;
  for (const auto& [name, file] : NamedFiles()) {
    covered.insert(static_cast<int>(file.diagnostic.status));
  }
  // Not a property of a file's bytes: see the test below.
  covered.insert(static_cast<int>(Status::kMisalignedFile));
  const std::map<int, std::string> codes = CodeNames();
  const std::string unknown = StatusText(static_cast<Status>(1000));
  int statuses = 0;
  for (int code = 1; code <= 57; ++code) {
    if (StatusText(static_cast<Status>(code)) == unknown) continue;  // a gap in the numbering
    CAPTURE(code);
    CHECK(covered.contains(code));
    CHECK(codes.contains(code));
    ++statuses;
  }
  MESSAGE("status codes of Open: " << statuses);
  CHECK(statuses == static_cast<int>(covered.size()));
  CHECK(statuses == static_cast<int>(codes.size()));
}

TEST_CASE("reader: bytes at a wrong address are rejected with their own status") {
  const std::vector<std::byte> file = format::Write(TinyModel(4).content);
  AlignedBytes room(file.size() + 64);
  for (const std::size_t shift : {1U, 4U, 8U}) {
    std::memcpy(room.data() + shift, file.data(), file.size());
    format::View view;
    Diagnostic diagnostic;
    CHECK(format::Open({room.data() + shift, file.size()}, &view, &diagnostic) ==
          Status::kMisalignedFile);
    CHECK(diagnostic.found == shift);
  }
}

}  // namespace
}  // namespace mu8::testing
