// One pass with the mean and the variance of each activation instead of drawn weights (FORMAT.md
// 13). Layers that are the same in every pass run as ever; the others here, through layers.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/src/moments_scratch.h"
#include "engine/src/operators.h"
#include "engine/src/statistics.h"
#include "formats/reader.h"
#include "kernels/moments.h"
#include "kernels/moments_math.h"
#include "kernels/row_numbers.h"

namespace mu8 {

// Rows of logits that a prediction by moments is made of (FORMAT.md 13.6).
constexpr std::uint32_t MomentsRows(std::uint32_t classes) {
  return 2 * kernels::RowNumbers(classes);
}

// Most classes whose logits have a covariance of their own (FORMAT.md 13.5).
inline bool HasCovariance(const format::View& view) {
  return view.head() == format::Head::kSoftmax &&
         view.model.class_count <= kernels::kMostCorrelated;
}
// Variances and covariances of one position's logits.
inline std::size_t CovariancesOf(const format::View& view) {
  const std::size_t classes = view.model.class_count;
  return classes * (HasCovariance(view) ? classes : 1);
}

// Where two pieces of a layer begin in the memory that they share; `end`: of the one that ends
// last.
struct MomentsPlaces {
  std::uint64_t first, second, end;
};
MomentsPlaces PlaceMoments(const format::View& view, std::uint32_t layer, std::uint64_t first,
                           std::uint64_t second);
// The most that any layer needs of each piece.
MomentsScratch MomentsScratchBytes(const format::View& view);
// Bytes of an image's activations, or variances, with the pieces of all layers among them: `known`
// or more.
std::uint64_t BytesWithMoments(const format::View& view, std::uint64_t known);

// Any layer but the last, of the images of `context`.
void RunMoments(const Layer& layer, PassContext* context);

// Where the logits' mean and covariance go; empty: nowhere.
struct KeptLogits {
  std::span<float> means, covariance;
};

// The last one, of one image: adds MomentsRows rows to `sums`, or sets `results`, and `*clamped`,
// how many scales were clamped (kGaussian).
void RunMomentsOutputs(const Layer& layer, std::uint32_t image, const Sums& sums,
                       const Results& results, const KeptLogits& kept, std::uint32_t* clamped,
                       PassContext* context);

// What follows is for the operators' own files.

// Tensors before the first Bayesian layer have no variance.
inline bool IsCertain(const format::View& view, std::uint32_t tensor) {
  return tensor == 0 || tensor <= view.first_pass_layer();
}
// What a code of a tensor's variances is worth; 0 for the input.
inline float StepOf(const format::View& view, std::uint32_t tensor) {
  return tensor == 0 ? 0.0F : view.layer_moments(tensor - 1).step;
}

// How a layer's outputs are stored, between its clamps or all codes.
kernels::MomentsCodes CodesOf(const Layer& layer, const format::View& view, bool clamped);

void RunMomentsWeighted(const Layer& layer, PassContext* context);  // moments_weighted.cpp
// What a layer needs: nothing unless it has weights.
MomentsScratch ScratchOf(const format::View& view, const format::LayerRecord& record,
                         const format::Operands& operands);

}  // namespace mu8
