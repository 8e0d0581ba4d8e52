// SPDX-License-Identifier: BSD-3-Clause
#include "engine/pack.hpp"

#include "base/error.hpp"
#include "eqnn/neighbors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace eqnn::engine {
namespace {

/// Number of atoms that keeps a thread busy while their features still fit into its caches.
constexpr std::int32_t kAtomsOfThread = 256;
/// Upper limit, because a GPU reports very many threads.
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

/// The edges of structure k of `packed`.
EdgeList structure_of(const EdgeList& packed, std::size_t k) {
  const std::int32_t first = packed.structures[k];
  const std::int32_t end = packed.structures[k + 1];
  EdgeList one;
  one.n_centers = one.n_nodes = end - first;
  one.species.assign(packed.species.begin() + first, packed.species.begin() + end);
  const std::int64_t first_edge = packed.begin[static_cast<std::size_t>(first)];
  const std::int64_t end_edge = packed.begin[static_cast<std::size_t>(end)];
  for (std::int32_t i = first; i <= end; ++i) {
    one.begin.push_back(packed.begin[static_cast<std::size_t>(i)] - first_edge);
  }
  for (std::int64_t e = first_edge; e < end_edge; ++e) {
    one.source.push_back(packed.source[static_cast<std::size_t>(e)] - first);
  }
  one.vector.assign(packed.vector.begin() + 3 * first_edge, packed.vector.begin() + 3 * end_edge);
  return one;
}

} // namespace

EdgesOrFailure edges_or_failure(const Structure& structure, const Model& model) {
  EdgesOrFailure out;
  out.reason = failure_of(
      [] { return "not enough memory for its neighbors. Use a machine with more memory."; },
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

StructureResult failed(Failure failure, std::string reason) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  StructureResult result;
  result.failure = failure;
  result.reason = std::move(reason);
  result.energy = kNone;
  result.virial.fill(kNone);
  return result;
}

Pass::Pass(Potential& potential, Wanted wanted, Take take)
    : potential_(potential)
    , wanted_(wanted)
    , take_(std::move(take)) {
  wanted_.atom_virial = false;
  clear_structures(packed_);
}

void Pass::add(std::size_t tag, const EdgeList& edges) {
  append_structure(packed_, edges);
  tags_.push_back(tag);
}

void Pass::run() {
  const PackedObservables* found = nullptr;
  const std::string failure =
      failure_of([] { return "not enough memory for this structure."; },
                 [&] { found = &potential_.evaluate_each(packed_, wanted_); });
  if (failure.empty()) {
    hand_out(*found);
  } else {
    run_one_by_one(failure);
  }
  clear_structures(packed_);
  tags_.clear();
}

/// If a pass fails as a whole, for example because memory runs out, its structures may still work
/// one by one.
void Pass::run_one_by_one(const std::string& failure) {
  if (tags_.size() == 1) {
    take_(tags_.front(), failed(Failure::Invalid, failure));
    return;
  }
  Pass alone(potential_, wanted_, take_);
  for (std::size_t k = 0; k < tags_.size(); ++k) {
    alone.add(tags_[k], structure_of(packed_, k));
    alone.run();
  }
}

void Pass::hand_out(const PackedObservables& found) const {
  for (std::size_t k = 0; k < tags_.size(); ++k) {
    if (!found.failure[k].empty()) {
      take_(tags_[k], failed(Failure::NotFinite, found.failure[k]));
      continue;
    }
    const auto part = [&](const std::vector<double>& numbers, std::ptrdiff_t width) {
      return numbers.empty()
                 ? std::vector<double>()
                 : std::vector<double>(numbers.begin() + width * packed_.structures[k],
                                       numbers.begin() + width * packed_.structures[k + 1]);
    };
    StructureResult result;
    result.energy = found.energy[k];
    result.atom_energy = part(found.atom_energy, 1);
    result.forces = part(found.forces, 3);
    if (!found.virial.empty()) {
      std::copy_n(
          found.virial.begin() + static_cast<std::ptrdiff_t>(9 * k), 9, result.virial.begin());
    }
    take_(tags_[k], std::move(result));
  }
}

std::int32_t default_atoms_at_once(const Potential& potential) {
  return std::min(kMostAtomsAtOnce / kAtomsOfThread, potential.n_threads()) * kAtomsOfThread;
}

} // namespace eqnn::engine
