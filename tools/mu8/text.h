// Readable, aligned text for people; nothing here is meant to be parsed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "converters/host/printable.h"

namespace mu8::tool {

std::string Fixed(double value, int decimals);       // 0.0123
std::string Significant(double value, int digits);   // 1.23e-05
std::string Percent(double fraction, int decimals);  // "98.50 %"
std::string ByteCount(std::size_t bytes);            // "12,345 bytes"
std::string Dimensions(std::size_t height, std::size_t width,
                       std::size_t channels);  // "28 x 28 x 1"

using host::Printable;  // untrusted text for a terminal

// The same for JSON that is written out: characters that act on a terminal, within its strings
// become \u escapes, so that it says the same to a parser.
std::string PrintableJson(std::string_view json);

// Columns as wide as their widest cell, two spaces between them. Width counts UTF-8 characters.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kRight;
  };

  // Without any header text the header line is left out.
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void Add(std::vector<std::string> cells);  // one per column
  std::string ToString(std::string_view indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "name   value" lines.
Table Fields();

}  // namespace mu8::tool
