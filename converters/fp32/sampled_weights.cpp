#include "converters/fp32/sampled_weights.h"

#include <cmath>
#include <numbers>
#include <string>

#include "converters/host/error.h"

namespace mu8::convert {
namespace {

// The output function of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", 2014): a bijection that turns a counter into random bits.
std::uint64_t Mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

// Independent standard normal numbers, two per 64 random bits (Box-Muller).
class NormalStream {
 public:
  NormalStream(std::uint64_t seed, std::uint32_t pass)
      : key_(Mix(Mix(seed + kGamma) + (std::uint64_t{pass} + 1) * kGamma)) {}

  float Next() {
    if (has_second_) {
      has_second_ = false;
      return second_;
    }
    const std::uint64_t bits = Mix(key_ + ++counter_ * kGamma);
    // radius_bits + 0.5 keeps the logarithm finite: |z| <= sqrt(-2 ln 2^-33) = 6.8.
    const auto radius_bits = static_cast<float>(bits >> 32) + 0.5F;
    const auto angle_bits = static_cast<float>(static_cast<std::int32_t>(bits & 0xffffffffU));
    const float radius = std::sqrt(-2.0F * std::log(radius_bits * 0x1p-32F));
    const float angle = angle_bits * (std::numbers::pi_v<float> * 0x1p-31F);  // [-pi, pi]
    second_ = radius * std::sin(angle);
    has_second_ = true;
    return radius * std::cos(angle);
  }

 private:
  static constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15U;  // SplitMix64's increment

  std::uint64_t key_;
  std::uint64_t counter_ = 0;
  float second_ = 0;
  bool has_second_ = false;
};

void Draw(const GaussianTensor& tensor, const std::string& node, NormalStream* normal,
          std::vector<float>* out) {
  *out = tensor.mu;
  if (tensor.sigma.empty()) return;
  if (tensor.sigma.size() != tensor.mu.size()) {
    throw host::Error("node '" + node + "': " + std::to_string(tensor.sigma.size()) +
                      " sigmas, expected " + std::to_string(tensor.mu.size()) + " as means");
  }
  for (std::size_t i = 0; i < out->size(); ++i) (*out)[i] += tensor.sigma[i] * normal->Next();
}

}  // namespace

void MeanWeights(const Network& network, SampledWeights* out) {
  out->weights.resize(network.nodes.size());
  out->biases.resize(network.nodes.size());
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    out->weights[i] = network.nodes[i].weights.mu;
    out->biases[i] = network.nodes[i].bias.mu;
  }
}

void SampleGaussian(const Network& network, std::uint64_t seed, std::uint32_t pass,
                    SampledWeights* out) {
  NormalStream normal(seed, pass);
  out->weights.resize(network.nodes.size());
  out->biases.resize(network.nodes.size());
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    Draw(node.weights, node.name, &normal, &out->weights[i]);
    Draw(node.bias, node.name, &normal, &out->biases[i]);
  }
}

}  // namespace mu8::convert
