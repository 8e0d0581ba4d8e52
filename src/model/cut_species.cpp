// SPDX-License-Identifier: BSD-3-Clause
#include "model/cut_species.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "model/graph_reader.hpp"

#include <algorithm>

namespace eqnn {
namespace {

bool is_among(const std::vector<std::int32_t>& sorted, std::int32_t number) {
  return std::binary_search(sorted.begin(), sorted.end(), number);
}

/// Rows of the elements in the model's tables, in increasing order without duplicates.
std::vector<std::size_t> rows_of(const ModelSpec& model,
                                 const std::vector<std::int32_t>& atomic_numbers) {
  std::string known;
  for (const std::int32_t number : model.species) {
    known += " " + element_symbol(number);
  }
  if (atomic_numbers.empty()) {
    fail(model.file, ": no element, expected at least one of", known, ". Name those in use.");
  }
  std::vector<std::size_t> rows;
  for (const std::int32_t number : atomic_numbers) {
    if (!is_among(model.species, number)) {
      fail(model.file,
           ": no element with the atomic number ",
           number,
           ", expected some of",
           known,
           ".\nUse a model that was trained on it.");
    }
    rows.push_back(static_cast<std::size_t>(
        std::lower_bound(model.species.begin(), model.species.end(), number) -
        model.species.begin()));
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

template <class Item>
std::vector<Item> kept(const std::vector<Item>& all, const std::vector<std::size_t>& rows) {
  std::vector<Item> some;
  some.reserve(rows.size());
  for (const std::size_t row : rows) {
    some.push_back(all[row]);
  }
  return some;
}

/// Keeps only these rows along an axis.
void cut_axis(Tensor& tensor, std::size_t axis, const std::vector<std::size_t>& rows) {
  std::size_t before = 1; // sizes of the axes before and after
  std::size_t behind = 1;
  for (std::size_t k = 0; k < tensor.shape.size(); ++k) {
    (k < axis ? before : behind) *= k == axis ? 1 : static_cast<std::size_t>(tensor.shape[k]);
  }
  const auto n = static_cast<std::size_t>(tensor.shape[axis]);
  std::vector<double> values;
  values.reserve(before * rows.size() * behind);
  for (std::size_t outer = 0; outer < before; ++outer) {
    for (const std::size_t row : rows) {
      const auto begin =
          tensor.values.begin() + static_cast<std::ptrdiff_t>((outer * n + row) * behind);
      values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(behind));
    }
  }
  tensor.values = std::move(values);
  tensor.shape[axis] = static_cast<std::int64_t>(rows.size());
}

} // namespace

ModelSpec cut_species(ModelSpec model, const std::vector<std::int32_t>& atomic_numbers) {
  const std::vector<std::size_t> rows = rows_of(model, atomic_numbers);
  model.species = kept(model.species, rows);
  model.energy.scale = kept(model.energy.scale, rows);
  model.energy.reference = kept(model.energy.reference, rows);
  for (Stage& stage : model.graph) {
    for (const SpeciesTable& table :
         std::visit([](auto& op) { return species_tables(op); }, stage.op)) {
      for (std::int32_t axis = 0; axis < table.axes; ++axis) {
        cut_axis(*table.tensor, static_cast<std::size_t>(axis), rows);
      }
    }
  }
  const auto has_others = [&](const SelfTest& test) {
    return !std::all_of(test.numbers.begin(), test.numbers.end(), [&](std::int32_t number) {
      return is_among(model.species, number);
    });
  };
  model.self_tests.erase(
      std::remove_if(model.self_tests.begin(), model.self_tests.end(), has_others),
      model.self_tests.end());
  return model;
}

} // namespace eqnn
