// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/neighbors.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "neighbors/lattice.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace eqnn {
namespace {

double square(const Vector3& r) { return r[0] * r[0] + r[1] * r[1] + r[2] * r[2]; }

/// Row of the species table.
std::int32_t
row_of(std::int32_t number, std::size_t atom, const std::vector<std::int32_t>& species) {
  const auto found = std::find(species.begin(), species.end(), number);
  if (found == species.end()) {
    std::string list;
    for (const std::int32_t known : species) {
      list += (list.empty() ? "" : ", ") + element_symbol(known);
    }
    fail("atom ",
         atom,
         " is ",
         element_symbol(number),
         ", which the model does not know, expected one of ",
         list,
         ".\nUse a model of all elements of the structure.");
  }
  return static_cast<std::int32_t>(found - species.begin());
}

} // namespace

EdgeList edges_of(const std::vector<std::int32_t>& numbers,
                  const std::vector<Vector3>& unwrapped,
                  const std::optional<std::array<double, 9>>& cell,
                  const std::vector<std::int32_t>& species,
                  double cutoff) {
  if (numbers.size() != unwrapped.size()) {
    fail(numbers.size(),
         " atomic numbers for ",
         unwrapped.size(),
         " positions, expected one for each. Correct the structure.");
  }
  require_near(unwrapped);
  EdgeList edges;
  edges.n_centers = edges.n_nodes = static_cast<std::int32_t>(numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    edges.species.push_back(row_of(numbers[i], i, species));
  }
  std::vector<Vector3> positions = unwrapped;
  std::vector<Vector3> shifts{{0.0, 0.0, 0.0}};
  if (cell) {
    // Into one cell first: how far atoms have travelled must not cost anything.
    const Lattice lattice(*cell);
    positions = lattice.wrapped(std::move(positions));
    shifts = lattice.translations(lattice.reach(positions, cutoff));
  }
  edges.begin.push_back(0);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    for (std::size_t j = 0; j < positions.size(); ++j) {
      for (const Vector3& shift : shifts) {
        Vector3 r{};
        for (std::size_t a = 0; a < 3; ++a) {
          r[a] = positions[j][a] + shift[a] - positions[i][a];
        }
        const bool self = i == j && square(shift) == 0.0;
        if (!self && square(r) < cutoff * cutoff) {
          edges.source.push_back(static_cast<std::int32_t>(j));
          edges.vector.insert(edges.vector.end(), r.begin(), r.end());
        }
      }
    }
    edges.begin.push_back(edges.n_edges());
  }
  return edges;
}

} // namespace eqnn
