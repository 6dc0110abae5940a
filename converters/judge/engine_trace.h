// The engine one pass at a time with every activation kept: what `mu8 diff` compares with the FP32
// reference. A session overwrites activations that it no longer needs; here each has its own place.
#pragma once

#include <cstdint>
#include <vector>

#include "converters/host/aligned_buffer.h"
#include "converters/host/model_file.h"
#include "engine/src/moments_scratch.h"
#include "engine/src/panel.h"
#include "formats/reader.h"
#include "kernels/kernel_table.h"

namespace mu8 {
struct PassContext;  // engine/src/layers.h
}

namespace mu8::convert {

// One layer's drawn weights as real numbers, in the order of a Network: OHWI or [out][in].
struct RealWeights {
  std::vector<float> weights;
  std::vector<float> biases;
};

class EngineTrace {
 public:
  // Up to `batch` images at a time.
  EngineTrace(const host::ModelFile& file, std::uint32_t batch, std::uint64_t seed,
              const kernels::KernelTable& kernels);

  // Sets the images of the next passes, and runs what is the same in all of them.
  void Load(const host::Dataset& data, std::size_t first, std::uint32_t count);
  void RunPass(std::uint32_t pass);

  // The activations of the last pass, [images][height][width][channels], as real numbers; of the
  // logits, [images][classes]. `tensor` may be the number of layers: the logits.
  std::vector<float> Real(std::uint32_t tensor) const;
  // The stored values; not for the logits.
  std::vector<std::uint8_t> Stored(std::uint32_t tensor) const;

  // Of a file with section 10: a layer's record in it, in this copy of the file; and one layer, any
  // but the last, by moments (FORMAT.md 13), of what Load and the layers before it have left.
  void SetMoments(std::uint32_t layer, const format::MomentsRecord& record);
  void RunMoments(std::uint32_t layer);
  // The codes of a tensor's variances, as Stored; 0 where nothing varies.
  std::vector<std::uint8_t> StoredVariances(std::uint32_t tensor) const;

  // Any layer's weights in a pass. Layers without weights have none.
  RealWeights Draw(std::uint32_t layer, std::uint32_t pass);

  const format::View& view() const { return view_; }

 private:
  // Weights in panel order and their biases, in accumulator units.
  struct Panel {
    const std::int8_t* weights;
    const std::int32_t* bias;
  };
  PassContext Context(std::uint32_t pass);
  std::vector<std::uint8_t> Codes(const host::AlignedBuffer& of, std::uint32_t tensor) const;
  Panel DrawPanel(const Parameters& parameters, const format::LayerRecord& layer,
                  const format::MuCursor& mu, const kernels::StreamId& stream, std::int32_t* bias);

  std::uint64_t seed_;
  const kernels::KernelTable& kernels_;
  std::uint32_t images_ = 0;
  host::AlignedBuffer bytes_;  // the file, its tensors apart from each other
  format::View view_;
  host::AlignedBuffer activations_, panel_, accumulators_;
  host::AlignedBuffer variances_, scratch_;  // of RunMoments, once it was called
  MomentsScratch pieces_;
  std::size_t outputs_ = 0;  // of an image
  std::vector<float> logits_;
};

}  // namespace mu8::convert
