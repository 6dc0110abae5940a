#include "converters/host/number_files.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "converters/host/bytes.h"
#include "converters/host/csv.h"
#include "converters/host/error.h"
#include "converters/host/files.h"
#include "converters/host/npz.h"
#include "converters/host/words.h"

namespace mu8::host {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 30;
constexpr std::size_t kMostValues = kMostBytes / sizeof(float);

// What a file holds: x [count][...] and perhaps y [count][...], each with its name in messages.
struct Content {
  std::string x_name, y_name;
  NpyArray x;
  std::optional<NpyArray> y;
  std::vector<std::string> notices;
  std::vector<std::string> columns = {};  // the names of a table's inputs
};

std::size_t Product(std::span<const std::size_t> dims) {
  std::size_t product = 1;
  for (const std::size_t dim : dims) product *= dim;
  return product;
}

// ---- The files ----

// The name that begins with x (or y, in either case): x itself, or the only one such as x_train.
// Empty: none.
std::string FindName(const std::string& path, char first, const std::vector<std::string>& names) {
  std::string name(1, first);
  if (std::ranges::find(names, name) != names.end()) return name;
  std::vector<std::string> found;
  for (const std::string& candidate : names) {
    const std::string lower = ToLower(candidate);
    if (lower == name || lower.starts_with(name + "_")) found.push_back(candidate);
  }
  if (found.size() > 1) {
    throw Error(path + ": the arrays " + NameList(found) +
                " may each be meant, expected one named " + name);
  }
  return found.empty() ? "" : found[0];
}

// The targets that belong to the inputs `x`: y of x, y_train of x_train. Of a plain x also the only
// one such as y_train; of x_train also a plain y.
std::string FindTargetName(const std::string& path, const std::string& x,
                           const std::vector<std::string>& names) {
  if (x.size() == 1) return FindName(path, 'y', names);
  for (const std::string& name : {"y" + x.substr(1), "Y" + x.substr(1), std::string("y")}) {
    if (std::ranges::find(names, name) != names.end()) return name;
  }
  return "";
}

NpyArray ReadMember(const std::string& path, const std::string& name,
                    std::span<const ZipMember> members) {
  const auto member =
      std::ranges::find_if(members, [&](const ZipMember& m) { return m.name == name + ".npy"; });
  const std::string where = path + ": \"" + name + "\": ";
  if (member->uncompressed_bytes > kMostBytes) {
    throw Error(where + std::to_string(member->uncompressed_bytes) +
                " bytes, more than the limit of 4 GiB");
  }
  return ReadNpy(where, ExtractMember(where, *member), NpyElements::kNumbers);
}

Content ReadNpzFile(const std::string& path) {
  const std::vector<std::uint8_t> archive = ReadRawFile(path, "an .npz archive", kMostBytes);
  const std::vector<ZipMember> members = ReadZipDirectory(path, archive);
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const ZipMember& member : members) {
    if (member.name.ends_with(".npy")) {
      if (!seen.insert(member.name).second) {
        throw Error(path + ": \"" + member.name + "\": the archive holds this name twice");
      }
      names.push_back(member.name.substr(0, member.name.size() - 4));
    }
  }
  Content content;
  const std::string x = FindName(path, 'x', names);
  if (x.empty()) {
    throw Error(path + ": holds the arrays " + (names.empty() ? "none" : NameList(names)) +
                ", expected one named x (and one named y, where there are targets)");
  }
  const std::string y = FindTargetName(path, x, names);
  content.x_name = path + ": \"" + x + "\"";
  content.x = ReadMember(path, x, members);
  if (!y.empty()) {
    content.y_name = path + ": \"" + y + "\"";
    content.y = ReadMember(path, y, members);
  }
  if (x != "x") content.notices.push_back(path + ": " + x + " is taken for the inputs");
  if (!y.empty() && y != "y") {
    content.notices.push_back(path + ": " + y + " is taken for the targets");
  }
  std::erase_if(names, [&](const std::string& name) { return name == x || name == y; });
  if (y.empty() && !names.empty()) {
    content.notices.push_back(path + ": its other arrays (" + NameList(names) +
                              ") are not read: targets are in one named y");
  }
  return content;
}

Content ReadNpyFile(const std::string& path) {
  return {.x_name = path,
          .y_name = {},
          .x = ReadNpy(path + ": ", ReadRawFile(path, "a .npy array", kMostBytes),
                       NpyElements::kNumbers),
          .y = {},
          .notices = {}};
}

// Float32, one input behind the other, each as the model's source file takes it.
Content ReadRawFloats(const std::string& path, const InputSpec& wanted) {
  const std::vector<std::uint8_t> bytes = ReadRawFile(path, "raw float32 numbers", kMostBytes);
  const std::size_t size = wanted.elements() * sizeof(float);
  if (bytes.size() % size != 0) {
    throw Error(path + ": holds " + std::to_string(bytes.size()) +
                " bytes, expected a multiple of " + std::to_string(size) + ": " +
                std::to_string(wanted.elements()) + " float32 numbers an input");
  }
  Content content{.x_name = path, .y_name = {}, .x = {}, .y = {}, .notices = {}};
  content.x.shape = {bytes.size() / size};
  const std::vector<std::size_t> flat = {wanted.elements()};
  const std::vector<std::size_t>& dims = wanted.dims.empty() ? flat : wanted.dims;
  content.x.shape.insert(content.x.shape.end(), dims.begin(), dims.end());
  content.x.values = LoadFloats(bytes, FloatFormat::kFloat32);
  return content;
}

std::size_t ColumnOf(const std::string& path, const Table& table, const std::string& name,
                     const std::string& who) {
  const auto found = std::ranges::find(table.columns, name);
  if (found == table.columns.end()) {
    throw Error(path + ": has no column \"" + name + "\" (" + who + "), its columns are " +
                NameList(table.columns));
  }
  return static_cast<std::size_t>(found - table.columns.begin());
}

// The columns that are targets: those named, in that order, else those called y or y_..., target or
// label in the order of the table.
std::vector<std::size_t> FindTargets(const std::string& path, const Table& table,
                                     const std::vector<std::string>& named) {
  std::vector<std::size_t> targets;
  for (const std::string& name : named) {
    targets.push_back(ColumnOf(path, table, name, "--targets"));
    if (std::ranges::count(named, name) > 1) {
      throw Error(path + ": --targets names the column \"" + name + "\" twice");
    }
  }
  for (std::size_t c = 0; named.empty() && c < table.columns.size(); ++c) {
    const std::string& name = table.columns[c];
    const bool is_target =
        name == "y" || name.starts_with("y_") || name == "target" || name == "label";
    if (is_target) targets.push_back(c);
  }
  return targets;
}

// The columns that are inputs, in the order of those that the model was calibrated on; where these
// had no names, all that are no targets in the order of the table.
std::vector<std::size_t> FindInputs(const std::string& path, const Table& table,
                                    const std::vector<std::size_t>& targets,
                                    const InputSpec& wanted, std::vector<std::string>* notices) {
  std::vector<std::size_t> inputs;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (std::ranges::find(targets, c) == targets.end()) inputs.push_back(c);
  }
  if (wanted.columns.empty() || wanted.columns.size() != inputs.size()) return inputs;
  std::vector<std::size_t> named;
  for (const std::string& name : wanted.columns) {
    named.push_back(ColumnOf(path, table, name, "as the model's calibration data had"));
    if (std::ranges::find(inputs, named.back()) == inputs.end()) {
      throw Error(path + ": column \"" + name +
                  "\" is a target, the model's calibration data had " +
                  "it as an input (--targets names those that are targets)");
    }
  }
  if (named != inputs) {
    notices->push_back(path + ": its columns are in another order than those of the calibration " +
                       "data: taken by their names");
  }
  return named;
}

NpyArray Columns(const Table& table, const std::vector<std::size_t>& chosen) {
  NpyArray array{.shape = {table.rows, chosen.size()}, .values = {}};
  array.values.reserve(table.rows * chosen.size());
  for (std::size_t row = 0; row < table.rows; ++row) {
    for (const std::size_t c : chosen) {
      array.values.push_back(table.values[row * table.columns.size() + c]);
    }
  }
  return array;
}

std::vector<std::string> NamesOf(const Table& table, const std::vector<std::size_t>& chosen) {
  std::vector<std::string> names;
  for (const std::size_t c : chosen) names.push_back(table.columns[c]);
  return names;
}

Content ReadCsvFile(const std::string& path, std::size_t limit, const InputSpec& wanted,
                    const DataOptions& options) {
  const Table table = ReadCsv(path, options.window_step > 0 ? kMostValues : limit);
  const std::vector<std::size_t> targets = FindTargets(path, table, options.targets);
  Content content{.x_name = path, .y_name = path, .x = {}, .y = {}, .notices = {}};
  const std::vector<std::size_t> inputs =
      FindInputs(path, table, targets, wanted, &content.notices);
  if (options.window_step == 0 && inputs.size() != wanted.elements()) {
    throw Error(
        path + ": has " + std::to_string(inputs.size()) + " input columns" +
        (targets.empty() ? "" : " beside " + std::to_string(targets.size()) + " of targets") +
        ", the model expects " + std::to_string(wanted.elements()) + " (its columns are " +
        NameList(table.columns) + "; --targets names those that are targets)");
  }
  content.x = Columns(table, inputs);
  content.columns = NamesOf(table, inputs);
  if (targets.empty()) return content;
  content.y = Columns(table, targets);
  if (options.targets.empty()) {
    content.notices.push_back(path + ": the targets are taken from " +
                              NameList(NamesOf(table, targets)) + " (--targets says otherwise)");
  }
  return content;
}

// ---- From arrays to inputs ----

// A series [length][...] as windows [count][width x columns], `step` rows apart.
NpyArray CutWindows(const std::string& where, const NpyArray& series, const InputSpec& wanted,
                    std::size_t step) {
  const std::size_t columns = Product(std::span(series.shape).subspan(1));
  const std::size_t size = wanted.elements();
  // Time runs along the width, or the height of a picture of one channel, or through a flat input.
  const ImageSize& input = wanted.size;
  const auto is_row = [&](int extent) { return columns == static_cast<std::size_t>(extent); };
  const bool fits = series.shape.size() <= 2 && size % columns == 0 &&
                    ((input.height == 1 && (input.width == 1 || is_row(input.channels))) ||
                     (input.channels == 1 && is_row(input.width)));
  if (!fits) {
    throw Error(where +
                ": --window-step cuts a series (length, channels) into the model's inputs of " +
                std::to_string(size) + " numbers; the array is " + TupleText(series.shape));
  }
  const std::size_t width = size / columns, length = series.shape[0];
  if (length < width) {
    throw Error(where + ": a series of " + std::to_string(length) +
                " steps is shorter than a window of " + std::to_string(width));
  }
  NpyArray windows{.shape = {(length - width) / step + 1, size}, .values = {}};
  if (windows.shape[0] > kMostValues / size) {
    throw Error(where + ": its windows take more than the limit of 4 GiB");
  }
  for (std::size_t i = 0; i < windows.shape[0]; ++i) {
    const auto first = series.values.begin() + static_cast<std::ptrdiff_t>(i * step * columns);
    windows.values.insert(windows.values.end(), first, first + static_cast<std::ptrdiff_t>(size));
  }
  windows.is_bytes = series.is_bytes;
  return windows;
}

// A window's target is that of its last row.
NpyArray CutTargets(const NpyArray& y, std::size_t windows, std::size_t step, std::size_t width) {
  const std::size_t columns = y.values.size() / y.shape[0];
  NpyArray targets{.shape = {windows, columns}, .values = {}};
  for (std::size_t i = 0; i < windows; ++i) {
    const auto row =
        y.values.begin() + static_cast<std::ptrdiff_t>((i * step + width - 1) * columns);
    targets.values.insert(targets.values.end(), row, row + static_cast<std::ptrdiff_t>(columns));
  }
  return targets;
}

void CutSeries(const InputSpec& wanted, std::size_t step, Content* content) {
  const std::size_t rows = content->x.shape[0];
  const std::size_t columns = content->x.values.size() / rows;
  content->x = CutWindows(content->x_name, content->x, wanted, step);
  if (content->y) {
    *content->y = CutTargets(*content->y, content->x.shape[0], step, wanted.elements() / columns);
  }
}

void MustBeFinite(const std::string& where, std::span<const float> values, std::size_t width) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw Error(where + ": number " + std::to_string(i % width) + " of entry " +
                std::to_string(i / width) + " is not finite");
  }
}

void CheckContent(const Content& content) {
  const NpyArray& x = content.x;
  if (x.shape.empty() || x.values.empty()) {
    throw Error(content.x_name + ": the array is " + TupleText(x.shape) +
                ", expected inputs along its first dimension");
  }
  MustBeFinite(content.x_name, x.values, x.values.size() / x.shape[0]);
  if (!content.y) return;
  const NpyArray& y = *content.y;
  if (y.shape.empty() || y.values.empty() || y.shape[0] != x.shape[0]) {
    throw Error(content.y_name + ": the array of targets is " + TupleText(y.shape) + ", expected " +
                std::to_string(x.shape[0]) + " of them, one for each input");
  }
  MustBeFinite(content.y_name, y.values, y.values.size() / y.shape[0]);
}

Dataset Arrange(Content content, std::size_t limit, const InputSpec& wanted,
                const DataOptions& options) {
  // Without a batch if it fits so, or if that is what its rank says.
  if (options.may_be_one && options.window_step == 0 &&
      (HasLayout(content.x.shape, wanted, options.input_layout) ||
       content.x.shape.size() == wanted.dims.size())) {
    content.x.shape.insert(content.x.shape.begin(), 1);
  }
  CheckContent(content);
  // The rows of a series are its time, whatever order the model's file takes arrays in.
  ArrayReading reading{.layout = {}, .channels = wanted.elements(), .channel = 1, .notice = {}};
  if (options.window_step > 0) {
    CutSeries(wanted, options.window_step, &content);
  } else {
    std::vector<std::size_t> dims(content.x.shape.begin() + 1, content.x.shape.end());
    if (dims.empty()) dims.push_back(1);  // (N,): one number each
    reading = ReadLayout(content.x_name, dims, wanted, options.input_layout);
  }
  Dataset set{.height = wanted.size.height,
              .width = wanted.size.width,
              .channels = wanted.size.channels,
              .count = std::min(limit, content.x.shape[0]),
              .columns = std::move(content.columns),
              .notices = std::move(content.notices)};
  if (!reading.notice.empty()) set.notices.push_back(reading.notice);
  set.values.reserve(set.count * wanted.elements());
  for (std::size_t i = 0; i < set.count; ++i) {
    AppendNhwc(reading, content.x.values.data() + i * wanted.elements(), &set.values);
  }
  if (content.y) {
    const std::size_t width = content.y->values.size() / content.y->shape[0];
    set.target_dims.assign(content.y->shape.begin() + 1, content.y->shape.end());
    set.targets = std::move(content.y->values);
    set.targets.resize(set.count * width);
  }
  if (!content.x.is_bytes) return set;
  set.pixels.assign(set.values.begin(), set.values.end());
  set.values.clear();
  set.notices.push_back(content.x_name + ": its elements are uint8: taken as pixels, 0 to 255");
  return set;
}

}  // namespace

bool IsNumberFile(std::string_view path) {
  const std::string name = ToLower(path);
  return name.ends_with(".npy") || name.ends_with(".npz") || name.ends_with(".csv") ||
         name.ends_with(".f32");
}

Dataset LoadNumbers(const std::string& path, std::size_t limit, const InputSpec& wanted,
                    const DataOptions& options) {
  if (wanted.elements() == 0) throw Error(path + ": numbers are read for a model only");
  const std::string name = ToLower(path);
  Content content = name.ends_with(".npz")   ? ReadNpzFile(path)
                    : name.ends_with(".npy") ? ReadNpyFile(path)
                    : name.ends_with(".csv") ? ReadCsvFile(path, limit, wanted, options)
                                             : ReadRawFloats(path, wanted);
  return Arrange(std::move(content), limit, wanted, options);
}

}  // namespace mu8::host
