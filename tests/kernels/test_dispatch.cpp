// Choosing kernels: a pure function of the features, and the table asked for is the one returned.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "formats/self_test.h"
#include "kernels/kernel_table.h"
#include "kernels/scalar/kernels.h"
#include "tests/kernels/tables.h"

#if defined(MU8_HAVE_AVX512VBMI) && defined(MU8_HAVE_AVXVNNI)
#include "kernels/avx2/kernels.h"
#include "kernels/avx512vbmi/kernels.h"
#include "kernels/avx512vnni/kernels.h"
#include "kernels/avxvnni/kernels.h"
#endif

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

TEST_CASE("dispatch: no features select portable, or scalar where that is not built") {
  CHECK(Name(SelectKernels(0)->name) == (Built("portable") ? "portable" : "scalar"));
  CHECK(FindKernels("scalar", 0) == &kernels::TableAt(0));
}

TEST_CASE("dispatch: the fastest table that the features cover") {
  const std::uint32_t no_vbmi = kernels::kFeatureAvx2 | kernels::kFeatureAvx512Vnni;
  const std::uint32_t narrow = kernels::kFeatureAvx2 | kernels::kFeatureAvxVnni;
  const std::uint32_t no_i8mm = kernels::kFeatureNeon | kernels::kFeatureNeonDot;
  struct {
    Name name;
    std::uint32_t features;
  } const choices[] = {
      {"avx2", kernels::kFeatureAvx2},
      {"avxvnni", narrow},
      {"avx512vnni", no_vbmi},
      {"avx512vbmi", no_vbmi | kernels::kFeatureAvx512Vbmi},
      {"neon", kernels::kFeatureNeon},
      {"neondot", no_i8mm},
      {"neoni8mm", no_i8mm | kernels::kFeatureNeonI8mm},
  };
  CHECK(SelectKernels(0xffffffffU) == &kernels::TableAt(kernels::TableCount() - 1));
  for (const auto& choice : choices) {
    CAPTURE(std::string(choice.name));
    if (Built(choice.name)) CHECK(Name(SelectKernels(choice.features)->name) == choice.name);
  }
  // Half of what a table needs does not do.
  CHECK(SelectKernels(kernels::kFeatureAvxVnni) == SelectKernels(0));
  CHECK(SelectKernels(kernels::kFeatureNeonI8mm) == SelectKernels(0));
}

TEST_CASE("dispatch: selection depends on nothing but its argument") {
  for (std::uint32_t features = 0; features < 2 * kernels::kFeatureWasm128; ++features) {
    const kernels::KernelTable* first = SelectKernels(features);
    SelectKernels(~features);
    CHECK(SelectKernels(features) == first);
    CHECK((first->required & ~features) == 0);
  }
}

// Linux lists a feature only where it saves the registers.
TEST_CASE("dispatch: features are those that /proc/cpuinfo lists") {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("flags\t")) {
  }
  const std::uint32_t features = kernels::DetectFeatures();
  if (!Built("avx2") || line.empty()) {
    MESSAGE("no x86, or no /proc/cpuinfo");
    return;
  }
  std::istringstream words(line);
  const std::set<std::string> listed{std::istream_iterator<std::string>(words), {}};
  const auto has = [&](std::uint32_t feature) { return (features & feature) != 0; };
  CHECK(has(kernels::kFeatureAvx2) == listed.contains("avx2"));
  CHECK(has(kernels::kFeatureAvxVnni) == listed.contains("avx_vnni"));
  CHECK(has(kernels::kFeatureAvx512Vnni) == listed.contains("avx512_vnni"));
  CHECK(has(kernels::kFeatureAvx512Vbmi) == listed.contains("avx512vbmi"));
}

// MU8_EXPECT_KERNELS in the environment: the table that this processor must get.
TEST_CASE("dispatch: an emulated processor gets the fastest table that it has") {
  const char* expected = std::getenv("MU8_EXPECT_KERNELS");
  if (expected == nullptr) {
    MESSAGE("nothing is expected of this processor");
    return;
  }
  CHECK(Name(SelectKernels(kernels::DetectFeatures())->name) == expected);
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

// Of two functions of one type the other tests tell which is which, but only in tables that this
// processor can run. What two tables share must be at the same place in both.
TEST_CASE("dispatch: no table has a function in the place of another") {
  using kernels::KernelTable;
  std::size_t pairs = 0;
  const auto apart = [&](auto first, auto second) {
    for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
      for (std::size_t j = 0; j < kernels::TableCount(); ++j, ++pairs) {
        const KernelTable& a = kernels::TableAt(i);
        const KernelTable& b = kernels::TableAt(j);
        CAPTURE(std::string(a.name));
        CAPTURE(std::string(b.name));
        CHECK((a.*first != nullptr));
        CHECK((a.*first != b.*second));
      }
    }
  };
  apart(&KernelTable::sample_panel, &KernelTable::unpack_panel);
  apart(&KernelTable::convolve, &KernelTable::convolve_depthwise);
  apart(&KernelTable::max_pool, &KernelTable::average_pool);
  apart(&KernelTable::add, &KernelTable::multiply);
  apart(&KernelTable::multiply, &KernelTable::add);
  for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
    CHECK((kernels::TableAt(i).lookup != nullptr));
    CHECK(format::IsExact(kernels::TableAt(i).convolve_probe));
    CHECK(format::IsExact(kernels::TableAt(i).requantize_probe));
    CHECK(format::IsExact(kernels::TableAt(i).pool_probe));
  }
  CHECK(pairs == 5 * kernels::TableCount() * kernels::TableCount());
}

#if defined(MU8_HAVE_AVX512VBMI) && defined(MU8_HAVE_AVXVNNI)
// Built for all, run by few.
TEST_CASE("dispatch: a folder's table has the functions of the folder") {
  namespace vnni = kernels::avx512vnni;
  CHECK((kernels::avx2::kTable.sample_panel == kernels::avx2::SamplePanel));
  CHECK((kernels::avx2::kTable.unpack_panel == kernels::avx2::UnpackPanel));
  CHECK((kernels::avx2::kTable.convolve == kernels::avx2::Convolve));
  CHECK((kernels::avx2::kTable.convolve_depthwise == kernels::avx2::ConvolveDepthwise));
  CHECK((kernels::avxvnni::kTable.sample_panel == kernels::avx2::SamplePanel));
  CHECK((kernels::avxvnni::kTable.convolve == kernels::avxvnni::Convolve));
  CHECK((kernels::avxvnni::kTable.convolve_depthwise == kernels::avxvnni::ConvolveDepthwise));
  CHECK((vnni::kTable.sample_panel == vnni::SamplePanel));
  CHECK((vnni::kTable.unpack_panel == vnni::UnpackPanel));
  CHECK((vnni::kTable.convolve == vnni::Convolve));
  CHECK((vnni::kTable.convolve_depthwise == vnni::ConvolveDepthwise));
  CHECK((vnni::kTable.max_pool == vnni::MaxPool));
  CHECK((kernels::avx512vbmi::kTable.sample_panel == kernels::avx512vbmi::SamplePanel));
  CHECK((kernels::avx512vbmi::kTable.unpack_panel == vnni::UnpackPanel));
  CHECK((kernels::avx512vbmi::kTable.convolve == vnni::Convolve));
  CHECK((kernels::avx512vbmi::kTable.max_pool == vnni::MaxPool));
}
#endif

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
