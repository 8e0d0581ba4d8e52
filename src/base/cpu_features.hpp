// SPDX-License-Identifier: BSD-3-Clause
// Checks that this processor has the instructions that the library was compiled for.
#pragma once

#include <string>

namespace eqnn {

/// The features that EQNN_MARCH requires and this processor lacks, for example "AVX2, FMA". Empty
/// if it has them all.
std::string missing_cpu_features();

/// The same for a space-separated list of names, out of AVX, AVX2, FMA, AVX512F, AVX512DQ,
/// AVX512BW, AVX512VL.
std::string missing_cpu_features(const std::string& required,
                                 bool (*has_feature)(const std::string&));

} // namespace eqnn
