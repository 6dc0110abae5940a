#include "converters/lower/placement.h"

#include <algorithm>
#include <cstdint>

namespace mu8::convert {
namespace {

// The layers in which a tensor is alive.
struct Lifetime {
  std::size_t first, last;
};

Lifetime LifetimeOf(const format::TensorRecord& tensor, std::size_t first_pass_layer) {
  const bool is_input = tensor.first_layer == format::kNoTensor;
  const std::size_t first = is_input ? 0 : tensor.first_layer;
  const bool once = is_input || first < first_pass_layer;
  const bool kept = once && tensor.last_layer >= first_pass_layer;
  return {first, kept ? format::kMaxLayers : tensor.last_layer};
}

bool Overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Tensors that lie in one place, one after the other.
struct Block {
  std::vector<std::size_t> tensors;
  Lifetime life;
  std::uint32_t bytes;
  std::uint64_t offset = 0;
};

// Whether nothing but geometry can keep a layer's output out of its residual's place.
bool EndsAtUse(const ResidualUse& use, std::size_t first_pass_layer,
               const std::vector<format::TensorRecord>& tensors) {
  return use.residual != use.input &&
         LifetimeOf(tensors[use.residual], first_pass_layer).last == use.layer;
}

// Every tensor in a block of its own, or in its residual's.
std::vector<Block> MakeBlocks(std::size_t first_pass_layer,
                              const std::vector<ResidualUse>& residuals,
                              const std::vector<format::TensorRecord>& tensors) {
  std::vector<Block> blocks;
  std::vector<std::size_t> block_of;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Lifetime life = LifetimeOf(tensors[i], first_pass_layer);
    const auto use = std::find_if(residuals.begin(), residuals.end(),
                                  [i](const ResidualUse& u) { return u.layer + 1 == i; });
    if (use != residuals.end() && EndsAtUse(*use, first_pass_layer, tensors) &&
        format::SameGeometry(tensors[use->residual], tensors[i])) {
      block_of.push_back(block_of[use->residual]);
      blocks[block_of.back()].tensors.push_back(i);
      blocks[block_of.back()].life.last = life.last;
    } else {
      block_of.push_back(blocks.size());
      blocks.push_back({{i}, life, tensors[i].bytes});
    }
  }
  return blocks;
}

// Row stride and bytes, as extents and padding need them; false if they are too large.
bool SetSizes(format::TensorRecord* tensor) {
  const std::uint64_t row =
      (std::uint64_t{tensor->pad_left} + tensor->width + tensor->pad_right) * tensor->channels;
  if (row > format::kMaxTensorBytes) return false;
  tensor->row_stride = static_cast<std::uint32_t>(row);
  const std::uint64_t bytes = format::TensorBytes(*tensor);
  if (bytes > format::kMaxTensorBytes) return false;
  tensor->bytes = static_cast<std::uint32_t>(bytes);
  return true;
}

}  // namespace

void AlignResiduals(std::size_t first_pass_layer, const std::vector<ResidualUse>& residuals,
                    const std::vector<bool>& is_vector,
                    std::vector<format::TensorRecord>* tensors) {
  // From the last to the first, so that what an output needs reaches its residual's residual.
  for (auto use = residuals.rbegin(); use != residuals.rend(); ++use) {
    const std::size_t output = use->layer + 1;
    if (output >= tensors->size() || is_vector[use->residual] || is_vector[output] ||
        !EndsAtUse(*use, first_pass_layer, *tensors)) {
      continue;
    }
    format::TensorRecord a = (*tensors)[use->residual];
    format::TensorRecord b = (*tensors)[output];
    for (const auto pad : {&format::TensorRecord::pad_top, &format::TensorRecord::pad_bottom,
                           &format::TensorRecord::pad_left, &format::TensorRecord::pad_right}) {
      a.*pad = b.*pad = std::max(a.*pad, b.*pad);
    }
    if (!SetSizes(&a) || !SetSizes(&b)) continue;
    (*tensors)[use->residual] = a;
    (*tensors)[output] = b;
  }
}

std::uint64_t PlaceTensors(std::size_t first_pass_layer, const std::vector<ResidualUse>& residuals,
                           std::vector<format::TensorRecord>* tensors) {
  std::uint64_t last_offset = 0;
  std::vector<Block> blocks = MakeBlocks(first_pass_layer, residuals, *tensors);
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block& a, const Block& b) { return a.bytes > b.bytes; });
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    Block& block = blocks[i];
    std::vector<const Block*> neighbours;
    for (std::size_t other = 0; other < i; ++other) {
      if (Overlap(block.life, blocks[other].life)) neighbours.push_back(&blocks[other]);
    }
    std::sort(neighbours.begin(), neighbours.end(),
              [](const auto* a, const auto* b) { return a->offset < b->offset; });
    for (const Block* other : neighbours) {
      if (block.offset + block.bytes <= other->offset) break;
      block.offset = std::max(block.offset, other->offset + other->bytes);
    }
    for (const std::size_t tensor : block.tensors) {
      (*tensors)[tensor].offset = static_cast<std::uint32_t>(block.offset);
    }
    last_offset = std::max(last_offset, block.offset);
  }
  return last_offset;
}

BusiestLayer FindBusiestLayer(std::size_t first_pass_layer,
                              const std::vector<format::TensorRecord>& tensors) {
  // Layer i writes tensor i + 1; the last one, of as many as there are tensors, the logits.
  BusiestLayer busiest{0, 0};
  for (std::size_t layer = 0; layer + 1 < tensors.size(); ++layer) {
    std::size_t live = 0;
    for (std::size_t i = 0; i <= layer + 1; ++i) {
      const Lifetime life = LifetimeOf(tensors[i], first_pass_layer);
      live += life.first <= layer && layer <= life.last ? 1U : 0U;
    }
    if (live > busiest.live_tensors) busiest = {layer, live};
  }
  return busiest;
}

}  // namespace mu8::convert
