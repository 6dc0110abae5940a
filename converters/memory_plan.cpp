#include "converters/memory_plan.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace mu8::convert {
namespace {

bool AliveTogether(const format::TensorRecord& a, const format::TensorRecord& b) {
  // The input's first layer is kNoTensor: it is never dead.
  if (a.first_layer == format::kNoTensor || b.first_layer == format::kNoTensor) return true;
  return a.first_layer <= b.last_layer && b.first_layer <= a.last_layer;
}

}  // namespace

void PlaceTensors(std::vector<format::TensorRecord>* tensors) {
  std::vector<std::size_t> order(tensors->size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return (*tensors)[a].bytes > (*tensors)[b].bytes;
  });
  std::vector<std::size_t> placed;
  for (const std::size_t index : order) {
    format::TensorRecord& tensor = (*tensors)[index];
    std::vector<const format::TensorRecord*> neighbours;
    for (const std::size_t other : placed) {
      if (AliveTogether(tensor, (*tensors)[other])) neighbours.push_back(&(*tensors)[other]);
    }
    std::sort(neighbours.begin(), neighbours.end(),
              [](const auto* a, const auto* b) { return a->offset < b->offset; });
    std::uint32_t offset = 0;
    for (const format::TensorRecord* other : neighbours) {
      if (offset + tensor.bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    tensor.offset = offset;
    placed.push_back(index);
  }
}

}  // namespace mu8::convert
