#include "converters/host/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <string_view>

#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/words.h"

namespace mu8::host {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;
constexpr std::string_view kSpace = " \t\r";

bool IsNumber(std::string_view text, float* number) {
  double value = 0;
  // "+1", but not "+-1".
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, value);
  *number = static_cast<float>(value);
  return problem == std::errc() && stop == end && std::isfinite(*number);
}

// The next field of a line that is not used up, without its quotes.
std::string_view NextField(const std::string& where, std::string_view* line) {
  const std::string_view rest = *line;
  const std::size_t first = rest.find_first_not_of(kSpace);
  if (first == std::string_view::npos || rest[first] != '"') {
    const std::size_t end = std::min(rest.find(','), rest.size());
    line->remove_prefix(end);
    return Trim(rest.substr(0, end));
  }
  const std::size_t quote = rest.find('"', first + 1);
  if (quote == std::string_view::npos) throw Error(where + ": a quote is not closed");
  const std::size_t end = std::min(rest.find(',', quote), rest.size());
  if (!Trim(rest.substr(quote + 1, end - quote - 1)).empty()) {
    throw Error(where + ": text follows a quoted field");
  }
  line->remove_prefix(end);
  return rest.substr(first + 1, quote - first - 1);
}

std::vector<std::string_view> Fields(const std::string& where, std::string_view line) {
  std::vector<std::string_view> fields = {NextField(where, &line)};
  while (!line.empty()) {
    line.remove_prefix(1);  // the comma
    fields.push_back(NextField(where, &line));
  }
  return fields;
}

void ReadHeader(const std::string& path, std::string_view line, Table* table) {
  if (line.starts_with("\xff\xfe") || line.starts_with("\xfe\xff")) {
    throw Error(path + ": is UTF-16 text, expected UTF-8");
  }
  const std::size_t other = line.find_first_of(";\t");
  if (other != std::string_view::npos && line.find(',') == std::string_view::npos) {
    throw Error(path + ":1: its columns are separated by " +
                (line[other] == ';' ? "semicolons" : "tabs") +
                ", expected commas, and numbers with a decimal point");
  }
  std::set<std::string_view> seen;
  for (const std::string_view name : Fields(path + ":1", line)) {
    float number = 0;
    if (name.empty()) {
      throw Error(path + ":1: column " + std::to_string(table->columns.size()) +
                  " (from 0) of the header has no name; expected one for each (an index that "
                  "pandas writes is left out by to_csv(index=False))");
    }
    if (IsNumber(name, &number)) {
      throw Error(path + ":1: \"" + std::string(name) +
                  "\" is no column name, expected a header line of them");
    }
    if (!seen.insert(name).second) {
      throw Error(path + ":1: column \"" + std::string(name) + "\" is there twice");
    }
    table->columns.emplace_back(name);
  }
}

void ReadRow(const std::string& path, std::size_t number, std::string_view line, Table* table) {
  const std::string where = path + ":" + std::to_string(number);
  const std::vector<std::string_view> fields = Fields(where, line);
  if (fields.size() != table->columns.size()) {
    throw Error(where + ": has " + std::to_string(fields.size()) + " fields, expected " +
                std::to_string(table->columns.size()) + " as the header");
  }
  for (std::size_t c = 0; c < fields.size(); ++c) {
    float value = 0;
    if (fields[c].empty()) {
      throw Error(where + ": column \"" + table->columns[c] +
                  "\" has no value, expected a finite number");
    }
    if (!IsNumber(fields[c], &value)) {
      throw Error(where + ": column \"" + table->columns[c] + "\": \"" + std::string(fields[c]) +
                  "\" is not a finite number (classes are given by their index)");
    }
    table->values.push_back(value);
  }
  ++table->rows;
}

}  // namespace

Table ReadCsv(const std::string& path, std::size_t limit) {
  const std::vector<std::uint8_t> bytes = ReadRawFile(path, "a table of numbers", kMostBytes);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  Table table;
  for (std::size_t number = 1; !rest.empty() && table.rows < limit; ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (table.columns.empty()) {
      ReadHeader(path, line, &table);
    } else if (!Trim(line).empty()) {
      ReadRow(path, number, line, &table);
    }
  }
  if (table.rows == 0) throw Error(path + ": holds no rows behind its header");
  return table;
}

}  // namespace mu8::host
