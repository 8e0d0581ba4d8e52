// SPDX-License-Identifier: BSD-3-Clause
#include "base/cpu_features.hpp"

#include <sstream>

namespace eqnn {
namespace {

bool has_cpu_feature([[maybe_unused]] const std::string& name) {
#if defined(__x86_64__)
  // The builtin accepts only literals.
  __builtin_cpu_init();
  if (name == "AVX") {
    return __builtin_cpu_supports("avx") != 0;
  }
  if (name == "AVX2") {
    return __builtin_cpu_supports("avx2") != 0;
  }
  if (name == "FMA") {
    return __builtin_cpu_supports("fma") != 0;
  }
  if (name == "AVX512F") {
    return __builtin_cpu_supports("avx512f") != 0;
  }
  if (name == "AVX512DQ") {
    return __builtin_cpu_supports("avx512dq") != 0;
  }
  if (name == "AVX512BW") {
    return __builtin_cpu_supports("avx512bw") != 0;
  }
  if (name == "AVX512VL") {
    return __builtin_cpu_supports("avx512vl") != 0;
  }
#endif
  return false;
}

} // namespace

std::string missing_cpu_features(const std::string& required,
                                 bool (*has_feature)(const std::string&)) {
  std::istringstream names(required);
  std::string missing;
  for (std::string name; names >> name;) {
    if (!has_feature(name)) {
      missing += (missing.empty() ? "" : ", ") + name;
    }
  }
  return missing;
}

std::string missing_cpu_features() {
  return missing_cpu_features(EQNN_MARCH_FEATURES, has_cpu_feature);
}

} // namespace eqnn
