#include "converters/host/input_layout.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "converters/host/error.h"
#include "converters/host/shape_text.h"

namespace mu8::host {
namespace {

constexpr std::array<std::string_view, 6> kLayouts = {"nchw", "nhwc", "nhw", "ncw", "nwc", "nf"};

std::size_t Size(int extent) { return static_cast<std::size_t>(extent); }

// The letters of a layout as dimensions of an input of this size; empty where it has no such
// layout: an axis without a letter must have one element, and a picture with several channels has
// two flat orders, none of which is meant by "nf".
std::vector<std::size_t> DimsOf(std::string_view layout, const ImageSize& size) {
  const std::size_t height = Size(size.height), width = Size(size.width);
  const std::size_t channels = Size(size.channels);
  if (layout == "nf") {
    if (channels > 1 && height * width > 1) return {};
    return {height * width * channels};
  }
  std::vector<std::size_t> dims;
  for (const char letter : layout.substr(1)) {
    dims.push_back(letter == 'h' ? height : letter == 'w' ? width : channels);
  }
  const bool fits = (layout.find('h') != std::string_view::npos || height == 1) &&
                    (layout.find('c') != std::string_view::npos || channels == 1);
  return fits ? dims : std::vector<std::size_t>();
}

// How an array of this layout is walked: the last letter is the fastest.
ArrayReading Walk(std::string_view layout, std::span<const std::size_t> dims) {
  ArrayReading reading{.layout = std::string(layout), .notice = {}};
  std::size_t step = 1;
  for (std::size_t i = dims.size(); i-- > 0; step *= dims[i]) {
    switch (layout[i + 1]) {
      case 'h':
        reading.height = dims[i], reading.row = step;
        break;
      case 'w':
        reading.width = dims[i], reading.column = step;
        break;
      default:  // c, f
        reading.channels = dims[i], reading.channel = step;
    }
  }
  return reading;
}

struct Loop {
  std::size_t count, step;
  bool operator==(const Loop&) const = default;
};

// The loops of NHWC order over the array, the fastest first; two that are one in memory are one.
std::vector<Loop> LoopsOf(const ArrayReading& reading) {
  std::vector<Loop> loops;
  for (const Loop& loop :
       {Loop{reading.channels, reading.channel}, Loop{reading.width, reading.column},
        Loop{reading.height, reading.row}}) {
    if (loop.count == 1) continue;
    if (!loops.empty() && loop.step == loops.back().count * loops.back().step) {
      loops.back().count *= loop.count;
    } else {
      loops.push_back(loop);
    }
  }
  return loops;
}

// Whether two readings of as many elements give the same input.
bool SameOrder(const ArrayReading& a, const ArrayReading& b) { return LoopsOf(a) == LoopsOf(b); }

struct Readings {
  std::vector<ArrayReading> fitting = {};
  bool has_own = false;  // the first is the network's own
};

Readings FindReadings(std::span<const std::size_t> dims, const InputSpec& wanted,
                      std::string_view given) {
  Readings found;
  const auto add = [&](std::string_view layout) {
    if (given.empty() || layout == given) found.fitting.push_back(Walk(layout, dims));
  };
  if (!wanted.layout.empty() && std::ranges::equal(dims, wanted.dims)) {
    add(wanted.layout);
    found.has_own = !found.fitting.empty();
  }
  for (const std::string_view layout : kLayouts) {
    if (found.has_own && layout == wanted.layout) continue;
    if (std::ranges::equal(dims, DimsOf(layout, wanted.size)) && !dims.empty()) add(layout);
  }
  return found;
}

std::string Names(const std::vector<ArrayReading>& readings) {
  std::string text;
  for (std::size_t i = 0; i < readings.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == readings.size() ? " and " : ", ") + readings[i].layout;
  }
  return text;
}

std::string Expected(const InputSpec& wanted, std::string_view given) {
  std::string text;
  if (!given.empty()) {
    const std::vector<std::size_t> dims = DimsOf(given, wanted.size);
    if (dims.empty()) {
      return "an input of " +
             ShapeText(wanted.size.height, wanted.size.width, wanted.size.channels) +
             " (height x width x channels), which has no layout " + std::string(given);
    }
    return TupleText(dims) + ", layout " + std::string(given);
  }
  if (!wanted.layout.empty()) {
    text =
        TupleText(wanted.dims) + ", layout " + wanted.layout + ", as its ONNX file takes it; or ";
  }
  return text + "any layout of " +
         ShapeText(wanted.size.height, wanted.size.width, wanted.size.channels) +
         " (height x width x channels)";
}

}  // namespace

std::size_t InputSpec::elements() const {
  return Size(size.height) * Size(size.width) * Size(size.channels);
}

std::span<const std::string_view> Layouts() { return kLayouts; }

InputSpec DefaultSpec(const ImageSize& size) {
  InputSpec spec{.size = size};
  spec.layout = size.height == 1 && size.width == 1 ? "nf" : "nchw";
  spec.dims = DimsOf(spec.layout, size);
  return spec;
}

std::string LayoutText(const InputSpec& spec) {
  std::string text = spec.layout;
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    text += (i == 0 ? ":" : ",") + std::to_string(spec.dims[i]);
  }
  return text;
}

void ReadLayoutText(std::string_view text, InputSpec* spec) {
  const std::size_t colon = text.find(':');
  const std::string_view layout = text.substr(0, colon);
  if (colon == std::string_view::npos || std::ranges::find(kLayouts, layout) == kLayouts.end()) {
    return;
  }
  std::vector<std::size_t> dims;
  std::size_t elements = 1;
  const char* at = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  while (true) {
    std::size_t dim = 0;
    const auto [stop, problem] = std::from_chars(at, end, dim);
    if (problem != std::errc() || dim == 0 || dim > spec->elements()) return;
    dims.push_back(dim);
    elements *= dim;
    if (elements > spec->elements()) return;
    if (stop == end) break;
    if (*stop != ',') return;
    at = stop + 1;
  }
  if (dims.size() + 1 != layout.size() || elements != spec->elements()) return;
  spec->layout = layout;
  spec->dims = dims;
}

ArrayReading ReadLayout(const std::string& where, std::span<const std::size_t> dims,
                        const InputSpec& wanted, std::string_view given) {
  const Readings readings = FindReadings(dims, wanted, given);
  const std::vector<ArrayReading>& fitting = readings.fitting;
  if (fitting.empty()) {
    throw Error(where + ": an input of the array is " + TupleText(dims) + ", the model expects " +
                Expected(wanted, given));
  }
  ArrayReading taken = fitting.front();
  const bool only = std::ranges::all_of(
      fitting, [&](const ArrayReading& other) { return SameOrder(taken, other); });
  if (!given.empty()) return taken;
  const std::string shape = where + ": inputs of " + TupleText(dims) + " ";
  if (readings.has_own) {
    if (!only) {
      taken.notice = shape + "fit the layouts " + Names(fitting) + ": taken as " + taken.layout +
                     ", as the model's ONNX file takes them (--input-layout says otherwise)";
    }
    return taken;
  }
  if (!only) {
    throw Error(shape + "fit the layouts " + Names(fitting) +
                ", which give different inputs: say which by --input-layout");
  }
  if (!wanted.layout.empty() && !SameOrder(taken, Walk(wanted.layout, wanted.dims))) {
    taken.notice = shape + "are taken as " + taken.layout + ", the only layout that fits (" +
                   "the model's ONNX file takes " + wanted.layout + ")";
  }
  return taken;
}

bool HasLayout(std::span<const std::size_t> dims, const InputSpec& wanted, std::string_view given) {
  return !FindReadings(dims, wanted, given).fitting.empty();
}

void AppendNhwc(const ArrayReading& reading, const float* array, std::vector<float>* out) {
  for (std::size_t y = 0; y < reading.height; ++y) {
    for (std::size_t x = 0; x < reading.width; ++x) {
      const float* pixel = array + y * reading.row + x * reading.column;
      for (std::size_t c = 0; c < reading.channels; ++c) {
        out->push_back(pixel[c * reading.channel]);
      }
    }
  }
}

std::string TupleText(std::span<const std::size_t> dims) {
  std::string text;
  for (const std::size_t size : dims) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "(" + text + (dims.size() == 1 ? ",)" : ")");
}

}  // namespace mu8::host
