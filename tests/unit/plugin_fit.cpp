// SPDX-License-Identifier: BSD-3-Clause
#include "pair_style/plugin_fit.h"

#include "base/cpu_features.hpp"

#include <gtest/gtest.h>

using LAMMPS_NS::eqnn_misfit;

TEST(PluginFit, the_same_lammps_is_accepted) {
  EXPECT_EQ(eqnn_misfit({20250722, 4}, {20250722, 4}, ""), "");
}

TEST(PluginFit, another_release_is_refused_with_both_versions_and_the_cure) {
  const std::string text = eqnn_misfit({20250722, 4}, {20240829, 4}, "");
  EXPECT_NE(text.find("compiled for LAMMPS 20250722, but this is LAMMPS 20240829"), text.npos)
      << text;
  EXPECT_NE(text.find("-DLAMMPS_SOURCE_DIR"), text.npos) << text;
}

TEST(PluginFit, other_integer_sizes_are_refused_with_the_cure) {
  EXPECT_NE(eqnn_misfit({20250722, 4}, {20250722, 8}, "").find("-DLAMMPS_SIZES=BIGBIG"),
            std::string::npos);
  EXPECT_NE(eqnn_misfit({20250722, 8}, {20250722, 4}, "").find("-DLAMMPS_SIZES=SMALLBIG"),
            std::string::npos);
}

TEST(PluginFit, a_processor_without_the_instructions_is_refused) {
  const std::string text = eqnn_misfit({20250722, 4}, {20250722, 4}, "AVX512F, FMA");
  EXPECT_NE(text.find("a processor with AVX512F, FMA, which this one lacks"), text.npos) << text;
  EXPECT_NE(text.find("make MARCH="), text.npos) << text;
}

TEST(CpuFeatures, only_what_is_missing_is_named) {
  const auto has_only_fma = [](const std::string& name) { return name == "FMA"; };
  EXPECT_EQ(eqnn::missing_cpu_features("AVX2 FMA AVX512F", has_only_fma), "AVX2, AVX512F");
  EXPECT_EQ(eqnn::missing_cpu_features("FMA", has_only_fma), "");
  EXPECT_EQ(eqnn::missing_cpu_features("", has_only_fma), "");
}

TEST(CpuFeatures, this_processor_runs_what_was_compiled_here) {
  EXPECT_EQ(eqnn::missing_cpu_features(), "");
}
