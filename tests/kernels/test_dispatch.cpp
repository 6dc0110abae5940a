// Choosing kernels: a pure function of the features, and the table asked for is the one returned.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "kernels/kernel_table.h"
#include "kernels/scalar/kernels.h"
#include "tests/kernels/tables.h"

namespace mu8::testing {
namespace {

using kernels::FindKernels;
using kernels::SelectKernels;
using Name = std::string_view;

bool Built(Name name) {
  for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
    if (name == kernels::TableAt(i).name) return true;
  }
  return false;
}

TEST_CASE("dispatch: no features select scalar") {
  CHECK(&SelectKernels(0) == &kernels::TableAt(0));
  CHECK(Name(SelectKernels(0).name) == "scalar");
  CHECK(FindKernels("scalar", 0) == &kernels::TableAt(0));
}

TEST_CASE("dispatch: the fastest table that the features cover") {
  const std::uint32_t no_vbmi = kernels::kFeatureAvx2 | kernels::kFeatureAvx512Vnni;
  const std::uint32_t all = no_vbmi | kernels::kFeatureAvx512Vbmi;
  CHECK(&SelectKernels(all) == &kernels::TableAt(kernels::TableCount() - 1));
  CHECK(&SelectKernels(0xffffffffU) == &SelectKernels(all));
  if (Built("avx2")) CHECK(Name(SelectKernels(kernels::kFeatureAvx2).name) == "avx2");
  const std::uint32_t narrow = kernels::kFeatureAvx2 | kernels::kFeatureAvxVnni;
  if (Built("avxvnni")) {
    CHECK(Name(SelectKernels(narrow).name) == "avxvnni");
    CHECK(Name(SelectKernels(kernels::kFeatureAvxVnni).name) == "scalar");
  }
  if (Built("avx512vnni")) CHECK(Name(SelectKernels(no_vbmi).name) == "avx512vnni");
  if (Built("avx512vbmi")) CHECK(Name(SelectKernels(all).name) == "avx512vbmi");
}

TEST_CASE("dispatch: selection depends on nothing but its argument") {
  for (std::uint32_t features = 0; features < 16; ++features) {
    const kernels::KernelTable* first = &SelectKernels(features);
    SelectKernels(~features);
    CHECK(&SelectKernels(features) == first);
    CHECK((first->required & ~features) == 0);
  }
}

TEST_CASE("dispatch: a table by name needs its features") {
  for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
    const kernels::KernelTable& table = kernels::TableAt(i);
    CAPTURE(std::string(table.name));
    CHECK(FindKernels(table.name, table.required) == &table);
    if (table.required != 0) CHECK(FindKernels(table.name, 0) == nullptr);
  }
  CHECK(FindKernels("", 0xffffffffU) == nullptr);
  CHECK(FindKernels("scala", 0xffffffffU) == nullptr);
  CHECK(FindKernels("scalar ", 0xffffffffU) == nullptr);
}

TEST_CASE("dispatch: faster tables have their own sampler and convolution") {
  for (const kernels::KernelTable* table : RunnableTables()) {
    MESSAGE("runs here: " << std::string(table->name));
    const bool scalar = Name(table->name) == "scalar";
    CHECK((table->sample_panel == kernels::scalar::SamplePanel) == scalar);
    CHECK((table->convolve == kernels::scalar::Convolve) == scalar);
  }
}

}  // namespace
}  // namespace mu8::testing
