// FORMAT.md's tables of fields against the files of tests/data/invalid: a field with a rule, such
// as
// **(31)**, has a file in which that very field is what Open names, with that code.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <tuple>

#include "formats/layout.h"
#include "tests/formats/invalid_files.h"

namespace mu8::testing {
namespace {

// The table's heading in FORMAT.md, the field's offset in its record, the code.
using Rule = std::tuple<std::string, std::uint64_t, int>;

const std::string kHeader = "## 2. Header", kSections = "### 3.1 Table", kTensors = "## 4. Tensors",
                  kLayers = "### 5.2 Record", kModel = "## 8. Arena and totals";

// All numbers of a text that stand between `open` and `close`.
std::vector<int> NumbersIn(const std::string& text, const std::string& open,
                           const std::string& close) {
  std::vector<int> numbers;
  for (std::size_t at = text.find(open); at != std::string::npos; at = text.find(open, at + 1)) {
    const std::size_t begin = at + open.size();
    numbers.push_back(std::stoi(text.substr(begin, text.find(close, begin) - begin)));
  }
  return numbers;
}

// Rows "| 10, 12 | u16 | kernel_h, kernel_w | 1 to 1024 **(30)** |" of the five records, with the
// names of their fields.
std::map<Rule, std::string> RulesOfFields() {
  std::ifstream document("formats/FORMAT.md");
  const std::set<std::string> tables = {kHeader, kSections, kTensors, kLayers, kModel};
  std::map<Rule, std::string> rules;
  std::string heading;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("#")) heading = line;
    if (!tables.contains(heading) || !line.starts_with("| ")) continue;
    std::istringstream row(line.substr(2));
    std::string offsets, type, name;
    std::getline(row, offsets, '|');
    std::getline(row, type, '|');
    std::getline(row, name, '|');
    if (offsets.find_first_not_of("0123456789, ") != std::string::npos) continue;
    std::istringstream each(offsets);
    for (std::string offset; std::getline(each, offset, ',');) {
      for (const int code : NumbersIn(line, "**(", ")**")) {
        rules[{heading, std::stoull(offset), code}] = name;
      }
    }
  }
  return rules;
}

// What a file's diagnostic names: an offset in a record, which may be inside a field.
Rule PlaceIn(const InvalidFile& file) {
  const int code = static_cast<int>(file.diagnostic.status);
  const std::uint64_t at = file.diagnostic.offset;
  if (at < sizeof(format::FileHeader)) return {kHeader, at, code};
  const Editor editor(file.bytes);
  if (file.diagnostic.tensor >= 0) {
    const Field first = TensorField(file.diagnostic.tensor, &format::TensorRecord::height);
    return {kTensors, at - editor.OffsetOf(first), code};
  }
  if (file.diagnostic.layer >= 0) {
    const Field first = LayerField(file.diagnostic.layer, &format::LayerRecord::op);
    return {kLayers, at - editor.OffsetOf(first), code};
  }
  const std::uint64_t table_end =
      sizeof(format::FileHeader) +
      sizeof(format::SectionRecord) * editor.Value(HeaderField(&format::FileHeader::section_count));
  if (at < table_end) {
    return {kSections, (at - sizeof(format::FileHeader)) % sizeof(format::SectionRecord), code};
  }
  return {kModel, at - editor.OffsetOf(ModelField(&format::ModelRecord::class_count)), code};
}

TEST_CASE("invalid files: every field with a rule has a file that breaks it there") {
  std::set<Rule> broken;
  const std::map<Rule, std::string> rules = RulesOfFields();
  for (const InvalidFile& file : AllInvalidFiles()) {
    auto [table, offset, code] = PlaceIn(file);
    std::uint64_t begin = 0;  // of the field that has the offset
    for (const auto& [rule, name] : rules) {
      if (std::get<0>(rule) == table && std::get<1>(rule) <= offset) begin = std::get<1>(rule);
    }
    broken.insert({table, begin, code});
  }
  // One rule about two fields, of which Open names the first; and of a file that is shorter than
  // file_bytes it names the end, which test_invalid_files.cpp checks.
  broken.insert({kLayers, 27, static_cast<int>(Status::kClamp)});
  broken.insert({kHeader, 16, static_cast<int>(Status::kTruncated)});
  for (const auto& [rule, name] : rules) {
    const std::string where =
        std::get<0>(rule) + ":" + name + "code " + std::to_string(std::get<2>(rule));
    CAPTURE(where);
    CHECK(broken.contains(rule));
  }
  MESSAGE("rules of fields: " << rules.size());
  CHECK(rules.size() >= 58);
}

}  // namespace
}  // namespace mu8::testing
