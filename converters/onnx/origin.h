// What random parameters a computed constant follows from, put together node by node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "converters/onnx/graph.h"

namespace mu8::convert {

using OriginPtr = std::shared_ptr<const Origin>;  // nullptr: nothing in it is random

// Of a result that is no set of independent Gaussians; nullptr when nothing in it is random.
OriginPtr Mixed(const OnnxNode& node, const std::vector<OriginPtr>& origins,
                const std::string& what);

// Collects the elements of a result from those of several inputs.
class OriginBuilder {
 public:
  explicit OriginBuilder(std::vector<OriginPtr> inputs) : inputs_(std::move(inputs)) {
    for (const OriginPtr& input : inputs_) {
      first_.push_back(static_cast<std::uint32_t>(origin_.parameters.size()));
      if (input == nullptr) continue;
      any_ = true;
      mixed_ |= !input->why_not.empty();
      origin_.parameters.insert(origin_.parameters.end(), input->parameters.begin(),
                                input->parameters.end());
    }
  }
  bool any() const { return any_; }
  bool mixed() const { return mixed_; }  // one of the inputs is no Gaussian already
  bool IsRandom(std::size_t input, std::size_t element) const {
    return inputs_[input] != nullptr && inputs_[input]->elements[element].factor != 0.0F;
  }
  void Add(std::size_t input, std::size_t element, double factor) {
    Origin::Element from =
        inputs_[input] == nullptr ? Origin::Element{} : inputs_[input]->elements[element];
    from.parameter += first_[input];
    from.factor = static_cast<float>(double{from.factor} * factor);
    origin_.elements.push_back(from);
  }
  OriginPtr Build() { return std::make_shared<const Origin>(std::move(origin_)); }

 private:
  std::vector<OriginPtr> inputs_;
  std::vector<std::uint32_t> first_;  // each input's parameters among all
  Origin origin_;
  bool any_ = false, mixed_ = false;
};

}  // namespace mu8::convert
