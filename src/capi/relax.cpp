// SPDX-License-Identifier: BSD-3-Clause
// Relaxation through the C interface.
#include "eqnn/relax.hpp"

#include "base/error.hpp"
#include "capi/model.hpp"
#include "capi/structures.hpp"
#include "eqnn/eqnn.h"

#include <string>
#include <vector>

namespace {

eqnn::RelaxOptions options_of(const eqnn_relax_options& c) {
  if (c.optimizer != 0 && c.optimizer != 1) {
    eqnn::fail(
        "optimizer is ", c.optimizer, ", expected 0 (L-BFGS) or 1 (FIRE). Correct the call.");
  }
  eqnn::RelaxOptions out;
  out.optimizer = c.optimizer == 0 ? eqnn::OptimizerKind::Lbfgs : eqnn::OptimizerKind::Fire;
  out.fmax = c.fmax;
  out.max_steps = c.max_steps;
  out.relax_cell = c.relax_cell != 0;
  out.exploded_force = c.exploded_force;
  out.exploded_distance = c.exploded_distance;
  out.exploded_volume = c.exploded_volume;
  out.atoms_at_once = c.atoms_at_once;
  out.lbfgs = {c.lbfgs_memory, c.lbfgs_damping, c.lbfgs_alpha, c.lbfgs_max_step};
  out.fire = {c.fire_dt,
              c.fire_max_step,
              c.fire_dt_max,
              c.fire_n_min,
              c.fire_f_inc,
              c.fire_f_dec,
              c.fire_a_start,
              c.fire_f_a};
  return out;
}

/// The result points into `frame`. A vector of arrays of three doubles is contiguous in memory.
eqnn_frame frame_of(const eqnn::RelaxFrame& frame) {
  const eqnn::Structure& structure = frame.structure;
  return {frame.step,
          static_cast<int>(structure.positions.size()),
          structure.positions.empty() ? nullptr : structure.positions.front().data(),
          structure.cell ? structure.cell->data() : nullptr,
          frame.energy,
          frame.fmax,
          frame.forces.empty() ? nullptr : frame.forces.data()};
}

eqnn::RelaxEvents events_of(const eqnn_relax_events& c) {
  eqnn::RelaxEvents out;
  if (c.finished != nullptr) {
    out.finished = [c](std::size_t input, const eqnn::Relaxed& relaxed) {
      const eqnn_relaxed told{static_cast<int>(relaxed.status),
                              relaxed.reason.c_str(),
                              frame_of(relaxed.last),
                              relaxed.first_energy};
      return c.finished(c.context, input, &told) == 0;
    };
  }
  if (c.frame != nullptr) {
    out.frame = [c](std::size_t input, const eqnn::RelaxFrame& frame) {
      const eqnn_frame told = frame_of(frame);
      return c.frame(c.context, input, &told) == 0;
    };
  }
  if (c.progress != nullptr) {
    out.progress = [c](std::size_t done, std::size_t all, std::size_t n_evaluations) {
      return c.progress(c.context, done, all, n_evaluations) == 0;
    };
  }
  return out;
}

} // namespace

void eqnn_relax_defaults(eqnn_relax_options* options) {
  const eqnn::RelaxOptions d;
  *options = {0,
              d.fmax,
              d.max_steps,
              d.relax_cell ? 1 : 0,
              d.exploded_force,
              d.exploded_distance,
              d.exploded_volume,
              d.atoms_at_once,
              d.lbfgs.memory,
              d.lbfgs.damping,
              d.lbfgs.alpha,
              d.lbfgs.max_step,
              d.fire.dt,
              d.fire.max_step,
              d.fire.dt_max,
              d.fire.n_min,
              d.fire.f_inc,
              d.fire.f_dec,
              d.fire.a_start,
              d.fire.f_a};
}

// NOLINTNEXTLINE(readability-function-size): C has no better way
int eqnn_relax(eqnn_model* model,
               size_t n_structures,
               const int* n_atoms,
               const int* atomic_numbers,
               const double* positions,
               const double* cells,
               const int* is_periodic,
               const int* fixed,
               const eqnn_relax_options* options,
               const eqnn_relax_events* events) {
  return eqnn::capi::guarded([&] {
    eqnn::Potential& potential = eqnn::capi::compiled(*model);
    std::vector<eqnn::Structure> structures = eqnn::capi::structures_of(
        {n_structures, n_atoms, atomic_numbers, positions, cells, is_periodic});
    std::vector<eqnn::RelaxInput> inputs;
    for (eqnn::Structure& structure : structures) {
      const std::size_t n = structure.numbers.size();
      inputs.push_back({std::move(structure), {}});
      if (fixed != nullptr) {
        inputs.back().fixed.assign(fixed, fixed + n);
        fixed += n;
      }
    }
    eqnn::relax(model->model, potential, inputs, options_of(*options), events_of(*events));
  });
}
