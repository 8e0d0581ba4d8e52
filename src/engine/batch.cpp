// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/batch.hpp"

#include "base/error.hpp"
#include "engine/pack.hpp"

#include <algorithm>
#include <limits>

namespace eqnn {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

StructureResult failed(Failure failure, std::string reason) {
  StructureResult result;
  result.failure = failure;
  result.reason = std::move(reason);
  result.energy = kNone;
  result.virial.fill(kNone);
  return result;
}

/// Structures that wait for a pass, and where their results go.
class Pass {
public:
  Pass(Potential& potential, Wanted wanted, std::vector<StructureResult>& results)
      : potential_(potential)
      , wanted_(wanted)
      , results_(results) {
    clear_structures(packed_);
  }

  std::int32_t n_atoms() const { return packed_.n_centers; }

  void add(std::size_t structure, const EdgeList& edges) {
    append_structure(packed_, edges);
    waiting_.push_back(structure);
  }

  void run() {
    const std::string failure =
        failure_of([] { return "not enough memory for this structure."; },
                   [&] { take(potential_.evaluate_each(packed_, wanted_)); });
    if (!failure.empty()) {
      run_one_by_one(failure);
    }
    clear_structures(packed_);
    waiting_.clear();
  }

private:
  /// Where a pass fails as a whole, as for want of memory, some of its structures may still go.
  void run_one_by_one(const std::string& failure) {
    if (waiting_.size() == 1) {
      results_[waiting_.front()] = failed(Failure::Invalid, failure);
      return;
    }
    Pass alone(potential_, wanted_, results_);
    for (std::size_t k = 0; k < waiting_.size(); ++k) {
      alone.add(waiting_[k], structure_of(packed_, k));
      alone.run();
    }
  }

  /// The edges of one of the structures that are packed.
  static EdgeList structure_of(const EdgeList& packed, std::size_t k) {
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

  void take(const PackedObservables& found) {
    for (std::size_t k = 0; k < waiting_.size(); ++k) {
      StructureResult& result = results_[waiting_[k]];
      if (!found.failure[k].empty()) {
        result = failed(Failure::NotFinite, found.failure[k]);
        continue;
      }
      const auto part = [&](const std::vector<double>& numbers, std::ptrdiff_t width) {
        return numbers.empty()
                   ? std::vector<double>()
                   : std::vector<double>(numbers.begin() + width * packed_.structures[k],
                                         numbers.begin() + width * packed_.structures[k + 1]);
      };
      result.energy = found.energy[k];
      result.atom_energy = part(found.atom_energy, 1);
      result.forces = part(found.forces, 3);
      if (!found.virial.empty()) {
        std::copy_n(
            found.virial.begin() + static_cast<std::ptrdiff_t>(9 * k), 9, result.virial.begin());
      }
    }
  }

  Potential& potential_;
  Wanted wanted_;
  std::vector<StructureResult>& results_;
  EdgeList packed_;
  std::vector<std::size_t> waiting_;
};

} // namespace

std::string_view name_of(Failure failure) {
  switch (failure) {
  case Failure::None:
    return "ok";
  case Failure::UnknownElement:
    return "unknown_element";
  case Failure::NotFinite:
    return "nan";
  default:
    return "invalid";
  }
}

std::vector<StructureResult> evaluate_structures(const Model& model,
                                                 Potential& potential,
                                                 const std::vector<Structure>& structures,
                                                 const BatchOptions& options) {
  const std::int32_t at_once =
      options.atoms_at_once > 0 ? options.atoms_at_once : engine::default_atoms_at_once(potential);
  Wanted wanted = options.wanted;
  wanted.atom_virial = false;
  std::vector<StructureResult> results(structures.size());
  Pass pass(potential, wanted, results);
  const auto goes_on = [&](std::size_t done) {
    return !options.progress || options.progress(done, structures.size());
  };
  for (std::size_t k = 0; k < structures.size(); ++k) {
    engine::EdgesOrFailure one = engine::edges_or_failure(structures[k], model);
    if (one.failure != Failure::None) {
      results[k] = failed(one.failure, std::move(one.reason));
      continue;
    }
    if (pass.n_atoms() > 0 && one.edges.n_centers > at_once - pass.n_atoms()) {
      pass.run();
      if (!goes_on(k)) {
        results.resize(k);
        return results;
      }
    }
    pass.add(k, one.edges);
  }
  if (pass.n_atoms() > 0) {
    pass.run();
  }
  (void)goes_on(structures.size());
  return results;
}

} // namespace eqnn
