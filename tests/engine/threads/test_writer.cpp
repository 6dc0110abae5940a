// Another thread writes into the file while predictions are made.
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/support/effort.h"
#include "tests/support/model_builder.h"
#include "tests/support/moments_models.h"
#include "tests/support/predict.h"

namespace mu8::testing {
namespace {

using format::OpCode;

// Slice, a wide Bayesian convolution, a wide dense layer of the slice's output, their sum, logits:
// whether the dense layer's input has a variance depends on the first layer's flags.
TestModel FlagModel() {
  Random random(5);
  TestModel model;
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(1, 1, 1, 0.01F, 0), MakeTensor(64, 64, 1, 0.01F, 0),
                     MakeTensor(1, 1, 16, 0.02F, 0), MakeTensor(1, 1, 16, 0.02F, 0),
                     MakeTensor(1, 1, 16, 0.04F, 0)};
  content.layers = {MakeLayer(OpCode::kSlice, 0, 1), MakeLayer(OpCode::kConv2d, 1, 16),
                    MakeLayer(OpCode::kDense, 1, 16), MakeLayer(OpCode::kAdd, 2, 16),
                    MakeLayer(OpCode::kDense, 4, 3)};
  content.layers[3].input2 = 3;
  content.layers[1].flags = format::kLayerBayesian;
  content.layers[1].sigma_bits = 8;
  for (const std::size_t i : {1U, 2U, 4U}) {
    SetRuns(content.tensors[content.layers[i].input], &content.layers[i]);
  }
  Finish(&content, false);
  model.weights.resize(content.layers.size());
  content.parameters.resize(content.layers.size());
  for (const std::size_t i : {1U, 2U, 4U}) {
    const format::LayerRecord& layer = content.layers[i];
    const float scale = i == 4 ? 0.0F : content.tensors[i + 1].scale;
    model.weights[i] = RandomWeights(layer, content.tensors[layer.input].scale, scale, &random);
    content.parameters[i] = Pack(layer, model.weights[i]);
  }
  content.input_table.resize(256);
  return WithMoments(std::move(model), {{1, 1}});
}

// Which layers are certain was asked of the file twice: once for the memory, once for its use.
TEST_CASE("writer: a flag that comes and goes leads moments to no memory of others") {
  for (const std::uint32_t batch : {1U, 2U}) {
    const AlignedBytes file = FlagModel().File();
    Engine engine;
    REQUIRE(engine.Open(file.span(), {.batch = batch, .method = Method::kMoments}) == Status::kOk);
    format::SectionRecord layers;
    std::memcpy(&layers, file.data() + 64 + 2 * sizeof(layers), sizeof(layers));
    auto* const flags = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(
        file.data() + layers.offset + offsetof(format::LayerRecord, flags)));
    std::atomic<bool> stop{false};
    std::thread writer([&] {
      Random random(batch);
      while (!stop) {
        const std::uint32_t pause = random.Below(1024);
        for (const std::uint8_t value : {format::kLayerBayesian, std::uint8_t{0}}) {
          __atomic_store_n(flags, value, __ATOMIC_RELAXED);
          for (volatile std::uint32_t i = 0; i < pause;) i = i + 1;
        }
      }
    });
    const std::vector<std::uint8_t> pixels(batch, 7);
    std::vector<Prediction> predictions(batch);
    int predicted = 0, refused = 0, others = 0;
    for (int i = 0; i < Effort(20000, 2000); ++i) {
      const Status status = engine.session.Predict(pixels, predictions);
      ++(status == Status::kOk ? predicted : status == Status::kModelChanged ? refused : others);
    }
    stop = true;
    writer.join();
    MESSAGE("predicted: " << predicted << ", status 73: " << refused);
    CHECK(others == 0);
    CHECK(refused > 0);
  }
}

}  // namespace
}  // namespace mu8::testing
