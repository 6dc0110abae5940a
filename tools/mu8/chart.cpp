#include "tools/mu8/chart.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

constexpr double kWidth = 520, kHeight = 300;
constexpr double kLeft = 58, kRight = 12, kTop = 12, kBottom = 44, kLegendLine = 16;
constexpr std::string_view kColors[] = {"#1b6ca8", "#d1495b", "#2a9d8f", "#e9a03b", "#8d5a97"};
constexpr int kTicks = 5;

std::string Number(double value) { return Fixed(value, 1); }

// The round step, 1, 2 or 5 times a power of ten, that gives about kTicks ticks.
double TickStep(double span) {
  const double least = span / kTicks;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * 0.999) return factor * power;
  }
  return 10 * power;
}

class Drawing {
 public:
  explicit Drawing(const Chart& chart) : chart_(chart) {
    const auto named = std::ranges::count_if(
        chart.series, [](const Series& series) { return !series.name.empty(); });
    legend_ = named > 1 ? static_cast<double>(named) * kLegendLine : 0;
  }

  std::string Text() {
    const std::string height = Number(kHeight + legend_);
    text_ = "<svg role=\"img\" viewBox=\"0 0 " + Number(kWidth) + " " + height + "\" width=\"" +
            Number(kWidth) + "\" height=\"" + height + "\" aria-label=\"" + Escaped(chart_.title) +
            "\">\n<title>" + Escaped(chart_.title) + "</title>\n";
    DrawAxes();
    for (std::size_t i = 0; i < chart_.series.size(); ++i) DrawSeries(chart_.series[i], Color(i));
    DrawLegend();
    return text_ + "</svg>\n";
  }

 private:
  static std::string Color(std::size_t index) {
    return std::string(kColors[index % std::size(kColors)]);
  }

  static double Share(const Axis& axis, double value) {
    return (std::clamp(value, axis.low, axis.high) - axis.low) / (axis.high - axis.low);
  }
  double X(double value) const {
    return kLeft + Share(chart_.x, value) * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return kHeight - kBottom - Share(chart_.y, value) * (kHeight - kTop - kBottom);
  }

  void Line(double x1, double y1, double x2, double y2, const char* kind) {
    text_ += "<line class=\"" + std::string(kind) + "\" x1=\"" + Number(x1) + "\" y1=\"" +
             Number(y1) + "\" x2=\"" + Number(x2) + "\" y2=\"" + Number(y2) + "\"/>\n";
  }

  void Label(double x, double y, const char* anchor, const std::string& text,
             const std::string& more = "") {
    text_ += "<text x=\"" + Number(x) + "\" y=\"" + Number(y) + "\" text-anchor=\"" + anchor +
             "\"" + more + ">" + Escaped(text) + "</text>\n";
  }

  template <typename Draw>
  static void ForTicks(const Axis& axis, const Draw& draw) {
    const double step = TickStep(axis.high - axis.low);
    const auto first = static_cast<int>(std::ceil(axis.low / step - 1e-9));
    for (int i = first; i * step <= axis.high * (1 + 1e-9) && i - first <= 2 * kTicks; ++i) {
      draw(i * step, step >= 1 ? Fixed(i * step, 0) : Significant(i == 0 ? 0 : i * step, 3));
    }
  }

  void DrawAxes() {
    ForTicks(chart_.y, [this](double value, const std::string& text) {
      Line(kLeft, Y(value), kWidth - kRight, Y(value), "grid");
      Label(kLeft - 6, Y(value) + 4, "end", text);
    });
    ForTicks(chart_.x, [this](double value, const std::string& text) {
      Line(X(value), kHeight - kBottom, X(value), kHeight - kBottom + 4, "axis");
      Label(X(value), kHeight - kBottom + 17, "middle", text);
    });
    Line(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "axis");
    Label((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", chart_.x.label);
    const double middle = (kTop + kHeight - kBottom) / 2;
    Label(14, middle, "middle", chart_.y.label,
          " transform=\"rotate(-90 14 " + Number(middle) + ")\"");
  }

  void DrawSeries(const Series& series, const std::string& color) {
    series.form == Series::Form::kBars ? DrawBars(series, color) : DrawLine(series, color);
  }

  // Where the bar that begins at points[i] ends.
  double End(const Series& series, std::size_t i) const {
    return i + 1 < series.points.size() ? series.points[i + 1].first : chart_.x.high;
  }

  void DrawBars(const Series& series, const std::string& color) {
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      const auto [x, y] = series.points[i];
      if (!std::isfinite(y)) continue;
      const double left = X(x) + 1, right = X(End(series, i)) - 1;
      text_ += "<rect fill=\"" + color + "\" fill-opacity=\"0.6\" x=\"" + Number(left) + "\" y=\"" +
               Number(Y(y)) + "\" width=\"" + Number(std::max(right - left, 1.0)) + "\" height=\"" +
               Number(Y(chart_.y.low) - Y(y)) + "\"/>\n";
    }
  }

  // Interrupted where there is no point.
  void DrawLine(const Series& series, const std::string& color) {
    std::string points;
    const auto draw = [&] {
      if (points.empty()) return;
      text_ += "<polyline fill=\"none\" stroke=\"" + color + "\" stroke-width=\"2\"" +
               (series.dashed ? " stroke-dasharray=\"5 4\"" : "") + " points=\"" + points +
               "\"/>\n";
      points.clear();
    };
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      const auto [x, y] = series.points[i];
      if (!std::isfinite(y)) {
        draw();
        continue;
      }
      points += Number(X(x)) + "," + Number(Y(y)) + " ";
      if (series.form == Series::Form::kSteps) {
        points += Number(X(End(series, i))) + "," + Number(Y(y)) + " ";
      }
    }
    draw();
  }

  void DrawLegend() {
    if (legend_ == 0) return;
    double y = kHeight + kLegendLine - 6;
    for (std::size_t i = 0; i < chart_.series.size(); ++i) {
      if (chart_.series[i].name.empty()) continue;
      text_ += "<rect fill=\"" + Color(i) + "\" x=\"" + Number(kLeft) + "\" y=\"" + Number(y - 9) +
               "\" width=\"14\" height=\"8\"/>\n";
      Label(kLeft + 20, y, "start", chart_.series[i].name);
      y += kLegendLine;
    }
  }

  const Chart& chart_;
  double legend_ = 0;
  std::string text_;
};

}  // namespace

std::string Svg(const Chart& chart) { return Drawing(chart).Text(); }

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : Printable(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace mu8::tool
