// SPDX-License-Identifier: BSD-3-Clause
// Whether this processor has the instructions that the library was compiled for.
#pragma once

#include <string>

namespace eqnn {

/// The features (as in "AVX2, FMA") that EQNN_MARCH asked for and this processor lacks; empty if it
/// has them all.
std::string missing_cpu_features();

/// The same for a list of names separated by spaces, among AVX, AVX2, FMA, AVX512F, AVX512DQ,
/// AVX512BW, AVX512VL.
std::string missing_cpu_features(const std::string& required,
                                 bool (*has_feature)(const std::string&));

} // namespace eqnn
