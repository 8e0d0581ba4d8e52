// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/neighbors.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "neighbors/images.hpp"
#include "neighbors/lattice.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace eqnn {
namespace {

/// Row of an element in the species table. Throws Error if the model does not have it.
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
         ".\nUse a model that knows all elements of the structure.");
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
  if (!(cutoff > 0.0) || !std::isfinite(cutoff)) {
    fail("the cutoff is ",
         cutoff,
         " Angstrom, expected a finite number above 0.\nUse the model's cutoff.");
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
    // Wrap into one cell first, so that atoms far away do not increase the cost.
    const Lattice lattice(*cell);
    positions = lattice.wrapped(std::move(positions));
    shifts = lattice.translations(lattice.reach(positions, cutoff));
  }
  const Images images(positions, shifts, cutoff);
  std::vector<Images::Neighbor> found;
  edges.begin.push_back(0);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    images.within(cutoff, i, found);
    for (const Images::Neighbor& neighbor : found) {
      edges.source.push_back(neighbor.atom);
      edges.vector.insert(edges.vector.end(), neighbor.r.begin(), neighbor.r.end());
    }
    edges.begin.push_back(edges.n_edges());
  }
  return edges;
}

} // namespace eqnn
