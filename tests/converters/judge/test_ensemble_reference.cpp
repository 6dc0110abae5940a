// What `mu8 eval --model` runs: the FP32 network as the graph has it.
#include <doctest/doctest.h>

#include "converters/host/datasets.h"
#include "converters/judge/ensemble_reference.h"
#include "tests/converters/convert_fixture.h"

using namespace mu8;
using namespace mu8::convert;
using namespace mu8::convert::testing;

TEST_CASE("reference: transposed convolutions run as what becomes of them") {
  const Folder folder;
  SmallNet net(3, 6, 6, 5, 0.1);
  net.Conv(4, {.pads = {1, 1, 1, 1}}).BatchNorm().Up(4, 4, 2).BatchNorm().Relu().Up(3, 3, 2);
  const ConvertOptions options = net.Flatten().Gemm(5).Write(folder, 9);
  const Network network = ReferenceNetwork(options);
  const host::Dataset data =
      host::LoadDataset(options.calibration_path, 9, InputSpecOf(network), {});
  ReferenceOptions as_graph;
  as_graph.onnx_path = options.model_path;
  as_graph.posterior_path = options.posterior_path;
  as_graph.head.head = format::Head::kValues;
  as_graph.mean_weights = true;
  as_graph.mean = options.mean;
  as_graph.std = options.std;
  Reference reference(as_graph);
  reference.Fit(data);
  const EnsembleResult found = reference.Run(data);
  const Logits expected = ReferenceLogits(network, data, 0);
  REQUIRE(found.mean.size() == expected.mean.size());
  for (std::size_t i = 0; i < found.mean.size(); ++i) {
    CHECK(double{found.mean[i]} == doctest::Approx(expected.mean[i]).epsilon(1e-4));
  }
}
