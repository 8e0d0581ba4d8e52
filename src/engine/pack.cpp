// SPDX-License-Identifier: BSD-3-Clause
#include "engine/pack.hpp"

#include "base/error.hpp"
#include "eqnn/neighbors.hpp"

#include <algorithm>
#include <cmath>

namespace eqnn::engine {
namespace {

/// Atoms that keep a thread busy, and whose features stay in its caches.
constexpr std::int32_t kAtomsOfThread = 256;
/// A device says that it has very many threads.
constexpr std::int32_t kMostAtomsAtOnce = 16384;

Failure kind_of(const Structure& structure, const Model& model) {
  const auto is_finite = [](const auto& numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
  };
  const auto& x = structure.positions;
  if (!std::all_of(x.begin(), x.end(), is_finite) ||
      (structure.cell && !is_finite(*structure.cell))) {
    return Failure::NotFinite;
  }
  const auto is_known = [&](std::int32_t z) {
    return std::binary_search(model.species().begin(), model.species().end(), z);
  };
  return std::all_of(structure.numbers.begin(), structure.numbers.end(), is_known)
             ? Failure::Invalid
             : Failure::UnknownElement;
}

} // namespace

EdgesOrFailure edges_or_failure(const Structure& structure, const Model& model) {
  EdgesOrFailure out;
  out.reason = failure_of(
      [] { return "not enough memory for its neighbours. Use a machine with more of it."; },
      [&] {
        if (structure.numbers.empty() && structure.positions.empty()) {
          fail("there are no atoms, expected one or more. Correct the structure.");
        }
        out.edges = edges_of(structure.numbers,
                             structure.positions,
                             structure.cell,
                             model.species(),
                             model.cutoff());
        require_sound_edges(out.edges);
      });
  if (!out.reason.empty()) {
    out.failure = kind_of(structure, model);
  }
  return out;
}

std::int32_t default_atoms_at_once(const Potential& potential) {
  return std::min(kMostAtomsAtOnce / kAtomsOfThread, potential.n_threads()) * kAtomsOfThread;
}

} // namespace eqnn::engine
