// Runs a model the way a user would, in an arena of exactly the size asked for, between guard
// pages.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mu8/mu8.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"

namespace mu8::testing {

inline std::vector<std::uint8_t> RandomPixels(const Model& model, std::size_t images,
                                              std::uint64_t seed) {
  std::vector<std::uint8_t> pixels(images * model.input_size());
  Random random(seed);
  random.Fill(std::span(pixels), 0, 255);
  return pixels;
}

// The same pixels as numbers from -8 to 7.9375.
inline std::vector<float> AsNumbers(std::span<const std::uint8_t> pixels) {
  std::vector<float> numbers;
  for (const std::uint8_t pixel : pixels) numbers.push_back((static_cast<float>(pixel) - 128) / 16);
  return numbers;
}

// A model and a session with its arena.
struct Engine {
  Model model;
  std::optional<GuardedBuffer> arena;
  Session session;

  Status Open(std::span<const std::byte> file, const SessionOptions& options,
              Diagnostic* diagnostic = nullptr) {
    const Status status = Model::Open(file, &model, diagnostic);
    return status == Status::kOk ? CreateSession(options, diagnostic) : status;
  }
  Status CreateSession(const SessionOptions& options, Diagnostic* diagnostic = nullptr) {
    const std::size_t bytes = ArenaBytes(model, options);
    arena.emplace(bytes);
    arena->Fill(0xa5);
    return Session::Create(model, options, {arena->Last(bytes), bytes}, &session, diagnostic);
  }
};

template <typename T>
void AppendBytes(std::span<const T> values, std::vector<std::byte>* out) {
  const std::span<const std::byte> bytes = std::as_bytes(values);
  out->insert(out->end(), bytes.begin(), bytes.end());
}

// Every computed number of a prediction: mean, variance, the three entropies, those by output.
inline void AppendPrediction(const Prediction& prediction, std::vector<std::byte>* out) {
  AppendBytes(prediction.mean, out);
  AppendBytes(prediction.variance, out);
  const float entropies[3] = {prediction.predictive_entropy, prediction.expected_entropy,
                              prediction.mutual_information};
  AppendBytes(std::span<const float>(entropies), out);
  AppendBytes(prediction.output_entropy, out);
  AppendBytes(prediction.output_expected_entropy, out);
  AppendBytes(prediction.noise_variance, out);
}

// What only some models' predictions have: errors, clamped scales, clamped inputs, abstaining.
inline void AppendOthers(const Model& model, const Prediction& prediction,
                         std::vector<std::byte>* out) {
  const auto append = [&](const auto& value) { AppendBytes(std::span(&value, 1), out); };
  if (model.head() == Head::kReconstruction) {
    append(prediction.error);
    append(prediction.error_variance);
  }
  if (model.head() == Head::kGaussian) append(prediction.clamped_scales);
  if (model.input_kind() == InputKind::kNumbers) append(prediction.clamped_inputs);
  if (model.abstain_measure() != AbstainMeasure::kNone) append(prediction.abstains);
}

// The predictions of all images, u8 or floats, `batch` at a time, each whole; empty if a call
// fails.
template <typename Images>
std::vector<std::byte> PredictAll(Engine* engine, const Images& images, std::size_t batch) {
  const std::span pixels(images);
  std::vector<std::byte> bytes;
  const std::size_t size = engine->model.input_size();
  for (std::size_t done = 0; done < pixels.size() / size; done += batch) {
    const std::size_t count = std::min(batch, pixels.size() / size - done);
    std::vector<Prediction> predictions(count);
    if (engine->session.Predict(pixels.subspan(done * size, count * size), predictions) !=
        Status::kOk) {
      return {};
    }
    for (const Prediction& prediction : predictions) {
      AppendPrediction(prediction, &bytes);
      AppendOthers(engine->model, prediction, &bytes);
    }
  }
  return bytes;
}

// Kernel sets that this processor runs, scalar first.
inline std::vector<KernelSet> RunnableKernels(const Model& model) {
  std::vector<KernelSet> sets;
  for (int value = 1; value <= static_cast<int>(KernelSet::kWasm128); ++value) {
    const auto set = static_cast<KernelSet>(value);
    SessionOptions options;
    options.kernels = set;
    GuardedBuffer arena(ArenaBytes(model, options));
    Session session;
    if (Session::Create(model, options, {arena.Last(arena.capacity()), arena.capacity()},
                        &session) == Status::kOk) {
      sets.push_back(set);
    }
  }
  return sets;
}

inline const char* NameOf(KernelSet set) {
  switch (set) {
    case KernelSet::kAuto:
      return "auto";
    case KernelSet::kScalar:
      return "scalar";
    case KernelSet::kAvx2:
      return "avx2";
    case KernelSet::kAvxVnni:
      return "avxvnni";
    case KernelSet::kAvx512Vnni:
      return "avx512vnni";
    case KernelSet::kAvx512Vbmi:
      return "avx512vbmi";
    case KernelSet::kPortable:
      return "portable";
    case KernelSet::kNeon:
      return "neon";
    case KernelSet::kNeonDot:
      return "neondot";
    case KernelSet::kNeonI8mm:
      return "neoni8mm";
    case KernelSet::kArmDsp:
      return "armdsp";
    case KernelSet::kHelium:
      return "helium";
    case KernelSet::kWasm128:
      return "wasm128";
  }
  return "unknown";
}

}  // namespace mu8::testing
