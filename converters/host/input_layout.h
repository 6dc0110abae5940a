// How an array of a network's inputs lies in memory: which of its dimensions are height, width and
// channels. Two readings that would give different inputs are never chosen between in silence.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mu8::host {

// The shape that a model's images must have; 0: any.
struct ImageSize {
  int height = 0;
  int width = 0;
  int channels = 0;
};

// A network's input. `layout` is how its source file takes arrays, `dims` their dimensions after
// the batch; both empty where nobody says so. `columns` are the names of the calibration data's
// columns, where it was a table.
struct InputSpec {
  ImageSize size = {};
  std::string layout = {};
  std::vector<std::size_t> dims = {};
  std::vector<std::string> columns = {};

  std::size_t elements() const;
};

// "nchw", "nhwc", "nhw" (one channel), "ncw", "nwc" (a series), "nf" (a flat vector); n, the batch,
// comes first in all of them.
std::span<const std::string_view> Layouts();

// What a file that says nothing is taken to mean: "nf" of a flat input, else "nchw".
InputSpec DefaultSpec(const ImageSize& size);

// "nchw:3,32,32": the text that a .mu8 file keeps of a layout and its dimensions; and back. Text
// that says nothing leaves `spec` as it is.
std::string LayoutText(const InputSpec& spec);
void ReadLayoutText(std::string_view text, InputSpec* spec);

// How to read the array of one input, of dimensions `dims`: element (y, x, c) is at
// y * row + x * column + c * channel.
struct ArrayReading {
  std::string layout;
  std::size_t height = 1, width = 1, channels = 1;
  std::size_t row = 0, column = 0, channel = 0;
  std::string notice;  // why this reading, where there was another; or empty
};

// `given`: the layout that the user names, or empty; then the network's own is taken where it fits,
// else the only one that does. Throws Error naming `where` when none fits, or several do.
ArrayReading ReadLayout(const std::string& where, std::span<const std::size_t> dims,
                        const InputSpec& wanted, std::string_view given);

// Whether ReadLayout would find any reading.
bool HasLayout(std::span<const std::size_t> dims, const InputSpec& wanted, std::string_view given);

// One input as NHWC.
void AppendNhwc(const ArrayReading& reading, const float* array, std::vector<float>* out);

// "(16, 8, 8)".
std::string TupleText(std::span<const std::size_t> dims);

}  // namespace mu8::host
