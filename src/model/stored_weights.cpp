// SPDX-License-Identifier: BSD-3-Clause
#include "model/stored_weights.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t k = 0; k < shape.size(); ++k) {
    text += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
  }
  return text + "]";
}

std::string expected_note(const std::vector<std::int64_t>& expected) {
  const bool open =
      std::any_of(expected.begin(), expected.end(), [](std::int64_t n) { return n < 0; });
  return open ? " (-1: any)" : "";
}

} // namespace

std::int64_t StoredWeights::check_all_used() const {
  std::int64_t n_parameters = 0;
  for (const auto& [key, stored] : tensors_) {
    if (used_.count(key) == 0) {
      fail(file_,
           ": /graph: tensor \"",
           JsonReader::printable(key),
           "\" is used by no stage. Re-export the model with this version of eqnn.");
    }
    n_parameters += stored.dtype == "I32" ? 0 : stored.tensor.size();
  }
  return n_parameters;
}

Tensor StoredWeights::take(const JsonReader& name,
                           const std::vector<std::int64_t>& expected,
                           const std::array<const char*, 2>& types) {
  const std::string key = name.string();
  const auto found = tensors_.find(key);
  if (found == tensors_.end()) {
    name.error(
        "tensor \"", JsonReader::printable(key), "\" is not in the file. Re-export the model.");
  }
  const StoredTensor& stored = found->second;
  if (stored.dtype != types[0] && stored.dtype != types[1]) {
    name.error("tensor \"",
               JsonReader::printable(key),
               "\" has type ",
               stored.dtype,
               ", expected ",
               types[0],
               types[0] == types[1] ? "" : std::string(" or ") + types[1],
               ". Re-export the model.");
  }
  const auto& shape = stored.tensor.shape;
  bool fits = shape.size() == expected.size();
  for (std::size_t k = 0; fits && k < shape.size(); ++k) {
    fits = shape[k] > 0 && (expected[k] < 0 || shape[k] == expected[k]);
  }
  if (!fits) {
    name.error("tensor \"",
               JsonReader::printable(key),
               "\" has shape ",
               shape_text(shape),
               ", expected ",
               shape_text(expected),
               expected_note(expected),
               ". Re-export the model.");
  }
  const auto bad = std::find_if(stored.tensor.values.begin(),
                                stored.tensor.values.end(),
                                [](double v) { return !std::isfinite(v); });
  if (bad != stored.tensor.values.end()) {
    name.error("tensor \"",
               JsonReader::printable(key),
               "\" holds ",
               *bad,
               " at flat index ",
               bad - stored.tensor.values.begin(),
               ". The training diverged or the file is damaged: export it again.");
  }
  used_.insert(key);
  return stored.tensor;
}

} // namespace eqnn
