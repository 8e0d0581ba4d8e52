// SPDX-License-Identifier: BSD-3-Clause
#include "pair_style/plugin_fit.h"

#include "base/cpu_features.hpp"

#include <gtest/gtest.h>

using LAMMPS_NS::eqnn_misfit;
using LAMMPS_NS::eqnn_mpi_family;

TEST(PluginFit, the_same_lammps_is_accepted) {
  EXPECT_EQ(eqnn_misfit({20250722, 4, {}}, {20250722, 4, {}}, ""), "");
}

TEST(PluginFit, another_release_is_refused_with_both_versions_and_the_cure) {
  const std::string text = eqnn_misfit({20250722, 4, {}}, {20240829, 4, {}}, "");
  EXPECT_NE(text.find("compiled for LAMMPS 20250722, but this is LAMMPS 20240829"), text.npos)
      << text;
  EXPECT_NE(text.find("-DLAMMPS_SOURCE_DIR"), text.npos) << text;
}

TEST(PluginFit, other_integer_sizes_are_refused_with_the_cure) {
  EXPECT_NE(eqnn_misfit({20250722, 4, {}}, {20250722, 8, {}}, "").find("-DLAMMPS_SIZES=BIGBIG"),
            std::string::npos);
  EXPECT_NE(eqnn_misfit({20250722, 8, {}}, {20250722, 4, {}}, "").find("-DLAMMPS_SIZES=SMALLBIG"),
            std::string::npos);
}

TEST(PluginFit, another_mpi_is_refused_with_both_names_and_the_cure) {
  const std::string text =
      eqnn_misfit({20250722, 4, "MPICH"}, {20250722, 4, "Open MPI"}, "AVX512F");
  EXPECT_NE(
      text.find("compiled for a LAMMPS with MPICH, but this one has Open MPI: compile it with "
                "-DLAMMPS_MPI_INCLUDE_DIR="),
      text.npos)
      << text;
  EXPECT_NE(eqnn_misfit({20250722, 4, "MPICH"}, {20250722, 4, "no MPI"}, ""), "");
  EXPECT_EQ(eqnn_misfit({20250722, 4, "MPICH"}, {20250722, 4, "MPICH"}, ""), "");
  // of an MPI that it does not know it says nothing
  EXPECT_EQ(eqnn_misfit({20250722, 4, ""}, {20250722, 4, "MPICH"}, ""), "");
  EXPECT_EQ(eqnn_misfit({20250722, 4, "MPICH"}, {20250722, 4, ""}, ""), "");
}

TEST(PluginFit, families_of_mpi_are_known_by_what_they_say_of_themselves) {
  EXPECT_EQ(eqnn_mpi_family("MPICH Version:      5.0.2\nMPICH Release date: ..."), "MPICH");
  EXPECT_EQ(eqnn_mpi_family("CRAY MPICH version 8.1.28"), "MPICH");
  EXPECT_EQ(eqnn_mpi_family("Intel(R) MPI Library 2021.11 for Linux* OS"), "MPICH");
  EXPECT_EQ(eqnn_mpi_family("MVAPICH Version : 3.0"), "MPICH");
  EXPECT_EQ(eqnn_mpi_family("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4"), "Open MPI");
  EXPECT_EQ(eqnn_mpi_family("LAMMPS MPI STUBS for LAMMPS version 29 Aug 2024"), "no MPI");
  EXPECT_EQ(eqnn_mpi_family("Another 1.0"), "");
}

TEST(PluginFit, a_processor_without_the_instructions_is_refused) {
  const std::string text = eqnn_misfit({20250722, 4, {}}, {20250722, 4, {}}, "AVX512F, FMA");
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
