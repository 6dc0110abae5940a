// Shapes that the graph computes from its own input's shape, as x.view(x.size(0), -1) exports:
// Shape, Gather, Unsqueeze, Concat and their like on integers. All sizes but the batch are known,
// so these nodes become numbers; the batch is kBatchSize, which only Reshape's first place may
// hold.
#include "converters/onnx/integers.h"

#include <algorithm>

namespace mu8::convert {
namespace {

using Integers = std::vector<std::int64_t>;

constexpr std::size_t kMostIntegers = 1024;  // of a computed list

// Input i as integers, computed or constant.
Integers ReadIntegers(const OnnxImporter& importer, const OnnxNode& node, int i) {
  const std::string name = InputName(node, i);
  const auto computed = importer.integers.find(name);
  if (computed != importer.integers.end()) return computed->second;
  const std::optional<Integers> values = IntegerValues(ReadConstant(importer, node, i));
  if (!values) throw NodeProblem{"\"" + name + "\" holds no integers"};
  return *values;
}

// A place in a list of `size`, counted from the end when negative, as in Python's slices.
std::size_t Bound(std::int64_t index, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  return static_cast<std::size_t>(
      std::clamp(index < 0 ? index + length : index, std::int64_t{0}, length));
}

Integers ShapeOf(const OnnxImporter& importer, const OnnxNode& node) {
  const Activation x = PeekActivation(importer, node, 0, 0);
  Integers shape = {kBatchSize};
  for (std::size_t dim = 0; dim < x.dims.size(); ++dim) shape.push_back(DimSize(x, dim));
  const std::size_t begin = Bound(IntAttribute(node, "start", 0), shape.size());
  const std::size_t end =
      Bound(IntAttribute(node, "end", static_cast<std::int64_t>(shape.size())), shape.size());
  if (begin >= end) return {};
  return {shape.begin() + static_cast<std::ptrdiff_t>(begin),
          shape.begin() + static_cast<std::ptrdiff_t>(end)};
}

Integers Gather(const OnnxImporter& importer, const OnnxNode& node) {
  const Integers data = ReadIntegers(importer, node, 0);
  Integers gathered;
  for (const std::int64_t index : ReadIntegers(importer, node, 1)) {
    const auto size = static_cast<std::int64_t>(data.size());
    const std::int64_t at = index < 0 ? index + size : index;
    if (at < 0 || at >= size) {
      throw NodeProblem{"index " + std::to_string(index) + " is outside a shape of " +
                        std::to_string(size) + " dimensions"};
    }
    gathered.push_back(data[static_cast<std::size_t>(at)]);
  }
  return gathered;
}

Integers SliceList(const OnnxImporter& importer, const OnnxNode& node) {
  const Integers data = ReadIntegers(importer, node, 0);
  const auto starts = IntegerList(importer, node, 1, "starts");
  const auto ends = IntegerList(importer, node, 2, "ends");
  const auto steps = IntegerList(importer, node, 4, "steps").value_or(Integers{1});
  if (!starts || !ends || starts->size() != 1 || ends->size() != 1 || steps != Integers{1}) {
    throw NodeProblem{"of a shape only one range of step 1 can be taken"};
  }
  const std::size_t begin = Bound(starts->front(), data.size());
  const std::size_t end = Bound(ends->front(), data.size());
  if (begin >= end) return {};
  return {data.begin() + static_cast<std::ptrdiff_t>(begin),
          data.begin() + static_cast<std::ptrdiff_t>(end)};
}

Integers Product(const OnnxImporter& importer, const OnnxNode& node) {
  Integers a = ReadIntegers(importer, node, 0);
  const Integers b = ReadIntegers(importer, node, 1);
  if (a.size() != b.size() && b.size() != 1) throw NodeProblem{"lists of unlike lengths"};
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::int64_t factor = b[b.size() == 1 ? 0 : i];
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    if (a[i] == kBatchSize || factor == kBatchSize) {
      throw NodeProblem{"it multiplies the batch size; the engine keeps images apart"};
    }
    if (std::abs(a[i]) > kMost || std::abs(factor) > kMost) throw NodeProblem{"too large a size"};
    a[i] *= factor;
  }
  return a;
}

}  // namespace

bool ImportIntegers(OnnxImporter* importer, const OnnxNode& node) {
  const std::string& op = node.op;
  bool reads_integers = false;
  for (const std::string& name : node.proto->input()) {
    reads_integers = reads_integers || importer->integers.contains(name);
  }
  const bool is_list_op = op == "Gather" || op == "Unsqueeze" || op == "Squeeze" || op == "Cast" ||
                          op == "Identity" || op == "Concat" || op == "Slice" || op == "Mul";
  if (op != "Shape" && !(reads_integers && is_list_op)) return false;
  Integers result;
  if (op == "Shape") {
    result = ShapeOf(*importer, node);
  } else if (op == "Gather") {
    result = Gather(*importer, node);
  } else if (op == "Slice") {
    result = SliceList(*importer, node);
  } else if (op == "Mul") {
    result = Product(*importer, node);
  } else if (op == "Concat") {
    for (int i = 0; i < node.proto->input_size(); ++i) {
      const Integers part = ReadIntegers(*importer, node, i);
      result.insert(result.end(), part.begin(), part.end());
    }
  } else {  // a single number and a list of one are the same here
    result = ReadIntegers(*importer, node, 0);
  }
  if (result.size() > kMostIntegers) {
    throw NodeProblem{"computes a list of " + std::to_string(result.size()) +
                      " integers, more than any shape has"};
  }
  importer->integers[OutputName(node, 0)] = std::move(result);
  return true;
}

}  // namespace mu8::convert
