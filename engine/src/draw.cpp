// Panels drawn: whole, or a piece at a time, which its products follow at once; from the file where
// it is in memory, else in slices that are read first. Integers alone.
#include "engine/src/checked_products.h"
#include "engine/src/weighted_layer.h"
#include "mu8/config.h"

namespace mu8 {
namespace {

using kernels::Signed;

// Bytes of the layer's parameters, `offset` from their start.
bool Read(const WeightedLayer& work, std::uint64_t offset, void* to, std::size_t bytes) {
  return ReadParameters(work.layer, offset, to, bytes, work.context);
}

// A panel as the sampler takes it, from the file or as it is staged.
struct PanelDraw {
  kernels::SampleArgs sample{};
  Shifts shifts;
  std::uint32_t mu_at, sigma_at;  // among the parameters of a streamed layer

  // False: the panel has changed since Open so that no kernel may have it.
  bool Set(const WeightedLayer& work, const format::MuCursor& mu) {
    const Parameters& parameters = work.parameters;
    if (parameters.is_staged()) {
      const std::uint64_t sigma =
          parameters.panels.panel_offset(mu.panel()) * work.layer.record.sigma_bits / 8;
      mu_at = parameters.layout.mu + static_cast<std::uint32_t>(mu.offset());
      sigma_at = parameters.layout.sigma + static_cast<std::uint32_t>(sigma);
    }
    sample.stream = work.context->stream;
    sample.stream.layer = work.layer.index;
    return SetPanel(parameters, work.layer.record, mu, &shifts, &sample);
  }
};

// What a kernel takes as the panel's first code, if those of blocks from `first` on lie at `slice`:
// it counts from there. As an integer, since no pointer may leave its array.
const std::uint8_t* WholePanels(const std::uint8_t* slice, std::size_t first,
                                std::size_t block_bytes) {
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(slice) - first * block_bytes;
  return reinterpret_cast<const std::uint8_t*>(address);  // NOLINT(performance-no-int-to-ptr)
}

void Sample(const WeightedLayer& work, const kernels::SampleArgs& args) {
  const kernels::KernelTable& kernels = work.context->kernels;
  (work.parameters.bayesian ? kernels.sample_panel : kernels.unpack_panel)(args);
}

// Draw, of a streamed file: slice by slice.
bool DrawStaged(const WeightedLayer& work, PanelDraw* draw) {
  kernels::SampleArgs& args = draw->sample;
  const std::size_t first = args.first_block, end = args.end_block;
  const std::size_t mu_block = std::size_t{8} * args.mu_bits;
  const std::size_t sigma_block = std::size_t{8} * args.sigma_bits;
  std::uint8_t* const mu = work.memory.staged + sizeof(format::StagedSlots);
  for (std::size_t block = first; block < end; block = args.end_block) {
    const std::size_t count =
        end - block < format::kSliceBlocks ? end - block : std::size_t{format::kSliceBlocks};
    std::uint8_t* const sigma = mu + count * mu_block;
    if (!Read(work, draw->mu_at + block * mu_block, mu, count * mu_block) ||
        (work.parameters.bayesian &&
         !Read(work, draw->sigma_at + block * sigma_block, sigma, count * sigma_block))) {
      return false;
    }
    args.mu = WholePanels(mu, block, mu_block);
    args.sigma = WholePanels(sigma, block, sigma_block);
    args.first_block = block;
    args.end_block = block + count;
    Sample(work, args);
    args.weights += count * kernels::kBlockBytes;
  }
  args.first_block = first;
  return true;
}

// Draws or unpacks the blocks that draw->sample names. False: they could not be read.
bool Draw(WeightedLayer* work, PanelDraw* draw) {
  draw->sample.lanes = work->memory.lanes;
  draw->sample.weights = work->memory.weights;
  draw->sample.bias = work->bias;
  if (work->parameters.is_staged()) return DrawStaged(*work, draw);
  Sample(*work, draw->sample);
  return true;
}

}  // namespace

[[gnu::noinline]] bool DrawBlocks(const format::MuCursor& mu, std::size_t first, std::size_t end,
                                  WeightedLayer* work) {
  PanelDraw draw;
  if (!draw.Set(*work, mu)) return FailParameters(work->layer, work->context);
  const bool as_it_lies = work->as_they_lie();
  work->convolve.weights =
      as_it_lies ? reinterpret_cast<const std::int8_t*>(draw.sample.mu) : work->memory.weights;
  work->convolve.bias = work->parameters.bayesian ? work->bias : draw.sample.bias_mu;
  draw.sample.first_block = first;
  if (end < draw.sample.end_block) draw.sample.end_block = end;
  return as_it_lies || Draw(work, &draw);
}

namespace {

// Adds the products of a piece, which begins at group `first` of 4 inputs and has been drawn up to
// `drawn`, to those of the pieces before. Pieces may begin and end within a run.
struct Pieces {
  const std::uint8_t* input;   // of the whole window
  std::int32_t* accumulators;  // of the layer, or null
  std::uint32_t run_groups, groups, next = 0;
  std::int32_t sum[kernels::kPanelWidth] = {};
};

bool MultiplyPiece(std::uint32_t first, std::size_t drawn, Pieces* pieces, WeightedLayer* work) {
  kernels::ConvolveArgs& args = work->convolve;
  const std::uint32_t run_groups = pieces->run_groups, inner_runs = work->runs.inner;
  const std::int32_t* const bias = args.bias;  // of the panel
  // At most once a group: count is 1 or more.
  while (pieces->next < drawn && pieces->next < pieces->groups) {
    const std::uint32_t run = pieces->next / run_groups, in_run = pieces->next % run_groups;
    const std::size_t left = drawn - pieces->next;
    const std::uint32_t count =
        left < run_groups - in_run ? static_cast<std::uint32_t>(left) : run_groups - in_run;
    args.input = pieces->input + Signed(run / inner_runs) * args.outer_step +
                 Signed(run % inner_runs) * args.inner_step + Signed(in_run * 4);
    args.padded_run = count * 4;
    args.weights = work->memory.weights + std::size_t{pieces->next - first} * 4 * args.width;
    pieces->next += count;
    args.accumulators = pieces->sum;
    if (pieces->next == pieces->groups) {
      for (std::uint32_t c = 0; c < args.channels; ++c) {
        pieces->sum[c] = kernels::AddWrapping(pieces->sum[c], bias[c]);
      }
      args.accumulators = pieces->accumulators;
    }
    args.bias = pieces->sum;
    if (!work->context->check_products) {
      work->context->kernels.convolve(args);
    } else if (!ConvolveCheckedProducts(*work)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool ConvolveCheckedProducts(const WeightedLayer& work) {
  if constexpr (!config::kCheckProducts) return true;
  PassContext* context = work.context;
  ProductFault fault;
  auto* const convolve =
      work.runs.depthwise ? context->kernels.convolve_depthwise : context->kernels.convolve;
  if (ConvolveChecked(work.convolve, work.runs.depthwise, work.parameters.panels.padded_channels,
                      convolve, &fault)) {
    return true;
  }
  context->failed = true;
  if (context->fault != nullptr) {
    *context->fault = {.status = Status::kComputationFault,
                       .offset = fault.pixel,
                       .layer = static_cast<std::int32_t>(work.layer.index),
                       .found = static_cast<std::uint64_t>(fault.found),
                       .expected = static_cast<std::uint64_t>(fault.expected)};
  }
  return false;
}

// Partial sums fit as the whole does: Open bounds the sum of all magnitudes (FORMAT.md 6.4).
bool RunInPieces(const format::MuCursor& mu, WeightedLayer* work) {
  kernels::ConvolveArgs& args = work->convolve;
  Pieces pieces{.input = args.input,
                .accumulators = args.accumulators,
                .run_groups = args.padded_run / 4,
                .groups = args.outer_runs * args.inner_runs * (args.padded_run / 4)};
  args.outer_runs = args.inner_runs = 1;
  const std::size_t step = work->memory.piece_bytes / kernels::kBlockBytes;
  for (std::size_t block = 0; pieces.next < pieces.groups; block += step) {
    const std::size_t drawn = (block + step) * (kernels::kPanelWidth / args.width);
    if (!DrawBlocks(mu, block, block + step, work) ||
        !MultiplyPiece(pieces.next, drawn, &pieces, work)) {
      return false;
    }
  }
  args.outer_runs = work->runs.outer;
  args.inner_runs = work->runs.inner;
  args.padded_run = work->parameters.panels.padded_run;
  return true;
}

}  // namespace mu8
