// SPDX-License-Identifier: BSD-3-Clause
// The tensors of a model file, handed out by name. Private to src/model.
#pragma once

#include "model/json_reader.hpp"
#include "model/safetensors.hpp"
#include "model/weights.hpp"

#include <array>
#include <map>
#include <set>
#include <string>

namespace eqnn {

/// Returns the file's tensors by name and checks them. Knows at the end which were never requested.
class StoredWeights {
public:
  StoredWeights(const std::map<std::string, StoredTensor>& tensors, std::string file)
      : tensors_(tensors)
      , file_(std::move(file)) {}

  /// Extents that are not known yet are given as -1.
  Tensor take(const JsonReader& name, const std::vector<std::int64_t>& expected) {
    return take(name, expected, {"F64", "F32"});
  }

  Tensor take_integers(const JsonReader& name, const std::vector<std::int64_t>& expected) {
    return take(name, expected, {"I32", "I32"});
  }

  /// The number of parameters. Throws Error for a tensor that no stage uses.
  std::int64_t check_all_used() const;

private:
  Tensor take(const JsonReader& name,
              const std::vector<std::int64_t>& expected,
              const std::array<const char*, 2>& types);

  const std::map<std::string, StoredTensor>& tensors_;
  std::string file_;
  std::set<std::string> used_;
};

} // namespace eqnn
