// Placement of activations: never two living tensors in one place, and not much more memory than
// any placement needs.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "converters/lower/placement.h"
#include "tests/support/effort.h"
#include "tests/support/random.h"

namespace mu8::convert {
namespace {

using format::TensorRecord;
using testing::Random;

TensorRecord Tensor(std::uint32_t blocks, std::uint16_t first, std::uint16_t last) {
  TensorRecord tensor{};
  tensor.bytes = blocks * 64;
  tensor.first_layer = first;
  tensor.last_layer = last;
  return tensor;
}

// Is the tensor in use while layer `layer` runs? It is from the layer that writes it to the last
// that reads it, both included; the input from the first on.
bool Lives(const TensorRecord& tensor, int layer) {
  const bool begun = tensor.first_layer == format::kNoTensor || tensor.first_layer <= layer;
  return begun && layer <= tensor.last_layer;
}

// Lengthens the lives of what is computed once and read by the passes.
void KeepForPasses(std::size_t first_pass_layer, int layers, std::vector<TensorRecord>* tensors) {
  for (TensorRecord& tensor : *tensors) {
    const bool once =
        tensor.first_layer == format::kNoTensor || tensor.first_layer < first_pass_layer;
    if (once && tensor.last_layer >= first_pass_layer) {
      tensor.last_layer = static_cast<std::uint16_t>(layers - 1);
    }
  }
}

// Bytes that must exist while the busiest layer runs: no placement needs less.
std::uint64_t LowerBound(const std::vector<TensorRecord>& tensors, int layers) {
  std::uint64_t bound = 0;
  for (int layer = 0; layer < layers; ++layer) {
    std::uint64_t live = 0;
    for (const TensorRecord& tensor : tensors) live += Lives(tensor, layer) ? tensor.bytes : 0;
    bound = std::max(bound, live);
  }
  return bound;
}

std::uint64_t End(const std::vector<TensorRecord>& tensors) {
  std::uint64_t end = 0;
  for (const TensorRecord& tensor : tensors) {
    end = std::max(end, std::uint64_t{tensor.offset} + tensor.bytes);
  }
  return end;
}

void CheckApart(const std::vector<TensorRecord>& tensors, int layers) {
  for (std::size_t a = 0; a < tensors.size(); ++a) {
    CHECK(tensors[a].offset % format::kAlignment == 0);
    for (std::size_t b = 0; b < a; ++b) {
      bool together = false;
      for (int i = 0; i < layers; ++i) {
        together = together || (Lives(tensors[a], i) && Lives(tensors[b], i));
      }
      const bool apart = tensors[a].offset + tensors[a].bytes <= tensors[b].offset ||
                         tensors[b].offset + tensors[b].bytes <= tensors[a].offset;
      CAPTURE(a);
      CAPTURE(b);
      REQUIRE((apart || !together));
    }
  }
}

// The input, and what each layer but the last writes.
std::vector<TensorRecord> RandomTensors(int layers, Random* random) {
  std::vector<TensorRecord> tensors = {
      Tensor(1 + random->Below(40), format::kNoTensor, static_cast<std::uint16_t>(0))};
  for (int i = 0; i + 1 < layers; ++i) {
    const int last = random->OneIn(3) ? random->Between(i + 1, layers - 1) : i + 1;
    tensors.push_back(Tensor(1 + random->Below(100), static_cast<std::uint16_t>(i),
                             static_cast<std::uint16_t>(last)));
  }
  return tensors;
}

TEST_CASE("placement: random lifetimes never overlap and stay near the lower bound") {
  Random random(1);
  double worst = 1.0;
  double total = 0.0;
  const int rounds = testing::Effort(600, 60);
  for (int round = 0; round < rounds; ++round) {
    const int layers = random.Between(1, 30);
    std::vector<TensorRecord> tensors = RandomTensors(layers, &random);
    const auto first_pass_layer =
        random.OneIn(2) ? 0 : static_cast<std::size_t>(random.Between(0, layers - 1));
    PlaceTensors(first_pass_layer, {}, &tensors);
    CAPTURE(round);
    CAPTURE(first_pass_layer);
    KeepForPasses(first_pass_layer, layers, &tensors);
    CheckApart(tensors, layers);
    const std::uint64_t bound = LowerBound(tensors, layers);
    REQUIRE(End(tensors) >= bound);
    const double ratio = static_cast<double>(End(tensors)) / static_cast<double>(bound);
    worst = std::max(worst, ratio);
    total += ratio / rounds;
  }
  CAPTURE(total);
  CAPTURE(worst);
  // Measured: 1.037 on average, 1.33 at worst.
  CHECK(total < 1.05);
  CHECK(worst < 1.6);
}

// The least end of any placement. One that is best can be built from below: in the order of its own
// offsets, each tensor right on top of those before it that it meets. So all orders are tried.
std::uint64_t LeastEnd(const std::vector<TensorRecord>& tensors, int layers) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::vector<bool>> meet(tensors.size(), std::vector<bool>(tensors.size()));
  for (std::size_t a = 0; a < tensors.size(); ++a) {
    for (std::size_t b = 0; b < tensors.size(); ++b) {
      for (int i = 0; i < layers; ++i) {
        meet[a][b] = meet[a][b] || (Lives(tensors[a], i) && Lives(tensors[b], i));
      }
    }
  }
  std::uint64_t least = ~std::uint64_t{0};
  do {
    std::vector<std::uint64_t> top(tensors.size());
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < order.size() && end < least; ++i) {
      std::uint64_t offset = 0;
      for (std::size_t j = 0; j < i; ++j) {
        if (meet[order[i]][order[j]]) offset = std::max(offset, top[order[j]]);
      }
      top[order[i]] = offset + tensors[order[i]].bytes;
      end = std::max(end, top[order[i]]);
    }
    least = std::min(least, end);
  } while (std::next_permutation(order.begin(), order.end()));
  return least;
}

TEST_CASE("placement: small graphs beside the best of all placements") {
  Random random(3);
  const int rounds = testing::Effort(1000, 100);
  int best = 0;
  double worst = 1.0;
  for (int round = 0; round < rounds; ++round) {
    const int layers = random.Between(3, 7);
    std::vector<TensorRecord> tensors = RandomTensors(layers, &random);
    PlaceTensors(0, {}, &tensors);
    KeepForPasses(0, layers, &tensors);
    const std::uint64_t least = LeastEnd(tensors, layers);
    CAPTURE(round);
    REQUIRE(End(tensors) >= least);
    REQUIRE(least >= LowerBound(tensors, layers));
    best += End(tensors) == least ? 1 : 0;
    worst = std::max(worst, static_cast<double>(End(tensors)) / static_cast<double>(least));
  }
  MESSAGE("of " << rounds << " small graphs placed as well as possible: " << best
                << ", the worst by a factor of " << worst);
  CHECK(best >= rounds * 85 / 100);
  CHECK(worst < 1.5);
}

TEST_CASE("placement: a chain of layers needs its busiest pair and the input, no more") {
  Random random(2);
  for (int round = 0; round < 100; ++round) {
    // Sizes shrink, as in most classifiers: then the largest pair is the first.
    const int layers = random.Between(2, 12);
    std::vector<TensorRecord> tensors = {Tensor(8, format::kNoTensor, 0)};
    std::uint32_t blocks = 2000;
    for (int i = 0; i + 1 < layers; ++i) {
      blocks = 1 + random.Below(blocks);
      tensors.push_back(
          Tensor(blocks, static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i + 1)));
    }
    PlaceTensors(0, {}, &tensors);
    KeepForPasses(0, layers, &tensors);
    CAPTURE(round);
    CheckApart(tensors, layers);
    CHECK(End(tensors) == LowerBound(tensors, layers));
  }
}

TEST_CASE("placement: a layer's input and output never share memory") {
  std::vector<TensorRecord> tensors = {Tensor(1, format::kNoTensor, 0), Tensor(4, 0, 1),
                                       Tensor(4, 1, 2), Tensor(4, 2, 3)};
  PlaceTensors(0, {}, &tensors);
  KeepForPasses(0, 4, &tensors);
  CheckApart(tensors, 4);
  CHECK(tensors[1].offset == tensors[3].offset);  // the first is dead when the third is written
  CHECK(tensors[1].offset != tensors[2].offset);
  CHECK(End(tensors) == 9 * 64);
}

TEST_CASE("placement: the input keeps its place through the whole pass") {
  std::vector<TensorRecord> tensors = {Tensor(10, format::kNoTensor, 0), Tensor(1, 0, 1),
                                       Tensor(10, 1, 2), Tensor(10, 2, 3)};
  PlaceTensors(0, {}, &tensors);
  KeepForPasses(0, 4, &tensors);
  CheckApart(tensors, 4);
  CHECK(End(tensors) == 30 * 64);
}

TEST_CASE("placement: what only deterministic layers read gives its memory to the passes") {
  std::vector<TensorRecord> tensors = {Tensor(10, format::kNoTensor, 0), Tensor(1, 0, 1),
                                       Tensor(10, 1, 2), Tensor(10, 2, 3)};
  PlaceTensors(2, {}, &tensors);  // tensor 2 is what the passes read
  CHECK(tensors[2].offset == tensors[0].offset);
  CHECK(End(tensors) == 20 * 64);
}

// input 0 -> 1 -> 2; layer 2 reads 2 and adds 1 -> 3; layer 3 reads 3 -> 4; layer 4 reads 4 and
// adds 3 -> 5.
std::vector<TensorRecord> ResidualChain() {
  return {Tensor(1, format::kNoTensor, 0),
          Tensor(10, 0, 2),
          Tensor(10, 1, 2),
          Tensor(10, 2, 4),
          Tensor(10, 3, 4),
          Tensor(10, 4, 5)};
}

TEST_CASE("placement: outputs take the places of their residuals, one after the other") {
  std::vector<TensorRecord> tensors = ResidualChain();
  PlaceTensors(0, {{2, 2, 1}, {4, 4, 3}}, &tensors);
  CHECK(tensors[3].offset == tensors[1].offset);
  CHECK(tensors[5].offset == tensors[1].offset);
  CHECK(tensors[2].offset != tensors[1].offset);
  CHECK(End(tensors) == 21 * 64);
  tensors = ResidualChain();
  PlaceTensors(0, {}, &tensors);
  CHECK(End(tensors) == 31 * 64);
}

TEST_CASE("placement: a residual that is still needed keeps its place") {
  std::vector<TensorRecord> tensors = ResidualChain();
  tensors[1].last_layer = 3;
  PlaceTensors(0, {{2, 2, 1}}, &tensors);
  CHECK(tensors[3].offset != tensors[1].offset);
  // Of another geometry, or the input as well.
  tensors = ResidualChain();
  tensors[3].pad_top = 1;
  PlaceTensors(0, {{2, 2, 1}}, &tensors);
  CHECK(tensors[3].offset != tensors[1].offset);
  tensors = ResidualChain();
  PlaceTensors(0, {{2, 1, 1}}, &tensors);
  CHECK(tensors[3].offset != tensors[1].offset);
  // Computed once and added by every pass.
  tensors = ResidualChain();
  PlaceTensors(2, {{2, 2, 1}}, &tensors);
  CHECK(tensors[3].offset != tensors[1].offset);
}

TensorRecord Image(std::uint16_t pad, std::uint16_t first, std::uint16_t last) {
  TensorRecord tensor = Tensor(0, first, last);
  tensor.height = tensor.width = tensor.channels = 4;
  tensor.pad_top = tensor.pad_left = pad;
  tensor.row_stride = (pad + 4U) * 4U;
  tensor.bytes = static_cast<std::uint32_t>(format::TensorBytes(tensor));
  return tensor;
}

TEST_CASE("placement: an output and its residual take the larger padding of both") {
  const std::vector<TensorRecord> before = {Image(0, format::kNoTensor, 0),
                                            Image(2, 0, 2),
                                            Image(0, 1, 2),
                                            Image(0, 2, 4),
                                            Image(0, 3, 4),
                                            Image(3, 4, 5)};
  const std::vector<ResidualUse> uses = {{2, 2, 1}, {4, 4, 3}};
  std::vector<TensorRecord> tensors = before;
  AlignResiduals(0, uses, std::vector<bool>(6), &tensors);
  for (const std::size_t i : {1U, 3U, 5U}) {
    CHECK(tensors[i].pad_top == 3);
    CHECK(tensors[i].pad_left == 3);
    CHECK(tensors[i].row_stride == 28);
    CHECK(tensors[i].bytes == format::TensorBytes(tensors[i]));
  }
  CHECK(tensors[2].bytes == before[2].bytes);
  PlaceTensors(0, uses, &tensors);
  CHECK(tensors[1].offset == tensors[5].offset);
  // A dense layer reads tensor 3 as it lies.
  tensors = before;
  AlignResiduals(0, uses, {false, false, false, true, false, false}, &tensors);
  CHECK(tensors[1].pad_top == 2);
  CHECK(tensors[3].pad_top == 0);
  CHECK(tensors[5].pad_top == 3);
}

TEST_CASE("placement: tensors that would grow beyond 1 GiB keep their own padding") {
  // The output of layer 1 may take the place of tensor 1 once both have its padding.
  std::vector<TensorRecord> tensors(3);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TensorRecord& tensor = tensors[i];
    tensor.height = tensor.width = 1024;
    tensor.channels = i == 0 ? 1 : 1023;
    tensor.first_layer = i == 0 ? format::kNoTensor : static_cast<std::uint16_t>(i - 1);
    tensor.last_layer = static_cast<std::uint16_t>(i);
    tensor.row_stride = tensor.width * tensor.channels;
    tensor.bytes = static_cast<std::uint32_t>(format::TensorBytes(tensor));
  }
  const std::vector<ResidualUse> uses = {{1, 0, 1}};
  tensors[2].pad_left = 1;  // one column of 1023 KiB: 1 GiB holds that, not another
  tensors[2].row_stride += tensors[2].channels;
  tensors[2].bytes = static_cast<std::uint32_t>(format::TensorBytes(tensors[2]));
  std::vector<TensorRecord> aligned = tensors;
  AlignResiduals(0, uses, std::vector<bool>(3), &aligned);
  CHECK(aligned[1].pad_left == 1);
  CHECK(aligned[1].bytes == aligned[2].bytes);
  CHECK(aligned[1].bytes <= format::kMaxTensorBytes);
  tensors[1].pad_top = 1;  // a row beside the column is too much
  tensors[1].bytes = static_cast<std::uint32_t>(format::TensorBytes(tensors[1]));
  aligned = tensors;
  AlignResiduals(0, uses, std::vector<bool>(3), &aligned);
  CHECK(aligned[1].pad_left == 0);
  CHECK(aligned[2].pad_top == 0);
  CHECK(aligned[1].bytes == tensors[1].bytes);
}

TEST_CASE("placement: offsets beyond 4 GiB are told as they are") {
  std::vector<TensorRecord> tensors;
  for (std::uint16_t i = 0; i < 6; ++i) {
    tensors.push_back(Tensor(1U << 24, i == 0 ? format::kNoTensor : i - 1, 9));  // 1 GiB each
  }
  CHECK(PlaceTensors(0, {}, &tensors) == std::uint64_t{5} << 30);
  tensors.resize(3);
  CHECK(PlaceTensors(0, {}, &tensors) == tensors[2].offset);
}

TEST_CASE("placement: the busiest layer counts its output and what later layers read") {
  std::vector<TensorRecord> tensors = {Tensor(1, format::kNoTensor, 0), Tensor(1, 0, 1),
                                       Tensor(1, 1, 3), Tensor(1, 2, 3), Tensor(1, 3, 4)};
  BusiestLayer busiest = FindBusiestLayer(0, tensors);
  CHECK(busiest.layer == 3);  // tensors 2, 3 and 4, and the input, which every pass reads again
  CHECK(busiest.live_tensors == 4);
  busiest = FindBusiestLayer(2, tensors);  // the input and tensor 1 belong to the prefix
  CHECK(busiest.layer == 3);
  CHECK(busiest.live_tensors == 3);
}

TEST_CASE("placement: old offsets do not matter, and an only tensor lies at 0") {
  std::vector<TensorRecord> tensors = {Tensor(3, format::kNoTensor, 0)};
  tensors[0].offset = 640;
  PlaceTensors(0, {}, &tensors);
  CHECK(tensors[0].offset == 0);
}

}  // namespace
}  // namespace mu8::convert
