// Charts as SVG text, for pages that need nothing beside themselves.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mu8::tool {

struct Series {
  enum class Form { kLine, kBars, kSteps };

  std::string name;  // empty: not in the legend
  Form form = Form::kLine;
  // In order of x. Of kBars and kSteps x is where a bar begins; the last ends at the axis's end.
  std::vector<std::pair<double, double>> points;
  bool dashed = false;
};

struct Axis {
  std::string label;
  double low = 0, high = 1;
};

struct Chart {
  std::string title;  // what a reader who does not see it is told
  Axis x, y;
  std::vector<Series> series;
};

// Points that are not finite are left out, others are cut at the axes' ends. Text may be untrusted.
std::string Svg(const Chart& chart);

// Text as HTML and XML have it.
std::string Escaped(const std::string& text);

}  // namespace mu8::tool
