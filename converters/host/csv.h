// Tables of numbers as comma-separated text. Their columns are known at run time only, which none
// of Debian's small CSV libraries serves.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mu8::host {

struct Table {
  std::vector<std::string> columns;  // the header
  std::vector<float> values;         // [rows][columns]
  std::size_t rows = 0;
};

// A header of column names, each once, then one row a line, at most `limit` of them. Names may be
// quoted. Throws Error naming file, line and column of what is no finite number.
Table ReadCsv(const std::string& path, std::size_t limit);

}  // namespace mu8::host
