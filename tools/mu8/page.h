// An HTML page that needs nothing beside itself: text, tables and charts, no scripts. Any text may
// be untrusted.
#pragma once

#include <string>
#include <vector>

#include "tools/mu8/chart.h"

namespace mu8::tool {

class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}

  void Section(const std::string& title);
  void Paragraph(const std::string& text);
  void Note(const std::string& text);  // small
  void Verdict(const std::string& text, bool is_good);
  // The first column to the left, the others to the right.
  void Table(const std::vector<std::string>& header,
             const std::vector<std::vector<std::string>>& rows);
  void Figure(const Chart& chart, const std::string& caption);

  std::string Html() const;

 private:
  std::string title_;
  std::string body_;
};

}  // namespace mu8::tool
