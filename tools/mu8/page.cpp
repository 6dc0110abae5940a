#include "tools/mu8/page.h"

#include <string_view>

namespace mu8::tool {
namespace {

// As tools/studies/html.py has it, and dark where the reader's screen is.
constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --text: #222; --page: #fff; --line: #ccc; --quiet: #555;
  --good: #e3f4e6; --bad: #fbe3e4; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e4e4; --page: #181a1b; --line: #444;
  --quiet: #aaa; --good: #1d3a24; --bad: #4a2226; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  margin: 2em auto; max-width: 76em; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2em; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; display: block;
  overflow-x: auto; }
th, td { padding: .25em .6em; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
td:first-child, th:first-child { text-align: left; }
.good, .bad { padding: .6em 1em; } .good { background: var(--good); } .bad { background: var(--bad); }
.note, figcaption { color: var(--quiet); font-size: 13px; }
figure { display: inline-block; vertical-align: top; margin: 0 1em 1em 0; max-width: 32.5em; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); } .grid { stroke: var(--line); } .axis { stroke: var(--quiet); }
)";

std::string Element(const char* name, const std::string& text) {
  return "<" + std::string(name) + ">" + Escaped(text) + "</" + name + ">";
}

}  // namespace

void Page::Section(const std::string& title) { body_ += Element("h2", title) + "\n"; }

void Page::Paragraph(const std::string& text) { body_ += Element("p", text) + "\n"; }

void Page::Note(const std::string& text) {
  body_ += "<p class=\"note\">" + Escaped(text) + "</p>\n";
}

void Page::Verdict(const std::string& text, bool is_good) {
  body_ +=
      std::string("<p class=\"") + (is_good ? "good" : "bad") + "\">" + Escaped(text) + "</p>\n";
}

void Page::Table(const std::vector<std::string>& header,
                 const std::vector<std::vector<std::string>>& rows) {
  body_ += "<table><thead><tr>";
  for (const std::string& cell : header) body_ += Element("th", cell);
  body_ += "</tr></thead>\n<tbody>";
  for (const std::vector<std::string>& row : rows) {
    body_ += "<tr>";
    for (const std::string& cell : row) body_ += Element("td", cell);
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table>\n";
}

void Page::Figure(const Chart& chart, const std::string& caption) {
  body_ += "<figure>" + Svg(chart) + Element("figcaption", caption) + "</figure>\n";
}

std::string Page::Html() const {
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<title>" +
         Escaped(title_) + "</title><style>" + std::string(kStyle) + "</style></head>\n<body>" +
         Element("h1", title_) + "\n" + body_ + "</body></html>\n";
}

}  // namespace mu8::tool
