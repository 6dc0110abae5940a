#include "converters/onnx/window_attributes.h"

namespace mu8::convert {
namespace {

// A list attribute of exactly `count` integers in [low, kMostWindow].
std::vector<std::int64_t> ListAttribute(const OnnxNode& node, const char* name, std::size_t count,
                                        std::int64_t fallback, std::int64_t low) {
  const onnx::AttributeProto* attribute = FindAttribute(*node.proto, name);
  if (attribute == nullptr) return std::vector<std::int64_t>(count, fallback);
  std::vector<std::int64_t> found(attribute->ints().begin(), attribute->ints().end());
  bool good = found.size() == count;
  for (const std::int64_t number : found) good = good && number >= low && number <= kMostWindow;
  if (!good) {
    throw NodeProblem{std::string(name) + " is " + DimsText(found) + ", expected " +
                      std::to_string(count) + " integers from " + std::to_string(low) + " to " +
                      std::to_string(kMostWindow)};
  }
  return found;
}

}  // namespace

Pair ReadPair(const OnnxNode& node, const char* name, int rank, std::int64_t least) {
  if (rank == 3) return {least, ListAttribute(node, name, 1, least, least)[0]};
  const std::vector<std::int64_t> list = ListAttribute(node, name, 2, least, least);
  return {list[0], list[1]};
}

std::array<std::int64_t, 4> ReadPads(const OnnxNode& node, int rank) {
  if (rank == 3) {
    const std::vector<std::int64_t> list = ListAttribute(node, "pads", 2, 0, 0);
    return {0, list[0], 0, list[1]};
  }
  const std::vector<std::int64_t> list = ListAttribute(node, "pads", 4, 0, 0);
  return {list[0], list[1], list[2], list[3]};
}

std::string ReadAutoPad(const OnnxNode& node) {
  std::string auto_pad = StringAttribute(node, "auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID" && auto_pad != "SAME_UPPER" &&
      auto_pad != "SAME_LOWER") {
    throw NodeProblem{"auto_pad \"" + auto_pad +
                      "\" is unknown (NOTSET, VALID, SAME_UPPER and SAME_LOWER are)"};
  }
  return auto_pad;
}

Pair KernelOf(const std::vector<std::int64_t>& dims) {
  return dims.size() == 3 ? Pair{1, dims[2]} : Pair{dims[2], dims[3]};
}

void CheckKernel(const OnnxNode& node, const std::vector<std::int64_t>& dims) {
  for (const std::int64_t dim : dims) {
    if (dim < 1 || dim > kMostWindow) {
      throw NodeProblem{"weights " + DimsText(dims) + " have a dimension outside 1 to " +
                        std::to_string(kMostWindow)};
    }
  }
  if (FindAttribute(*node.proto, "kernel_shape") != nullptr &&
      ReadPair(node, "kernel_shape", static_cast<int>(dims.size())) != KernelOf(dims)) {
    throw NodeProblem{"kernel_shape disagrees with weights " + DimsText(dims)};
  }
}

void AddImageLayer(OnnxImporter* importer, const OnnxNode& node, Node layer,
                   const Activation& input, std::int64_t height, std::int64_t width,
                   std::int64_t channels) {
  Activation output;
  output.value = AddValue(importer, OutputName(node, 0), height, width, channels);
  output.channels = static_cast<int>(channels);
  output.height = static_cast<int>(height);
  output.width = static_cast<int>(width);
  if (input.rank() == 3) output.dims.erase(output.dims.begin() + 1);  // (N, C, W)
  AddLayer(importer, node, std::move(layer), {input.value}, output);
}

}  // namespace mu8::convert
