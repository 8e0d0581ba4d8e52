// SPDX-License-Identifier: BSD-3-Clause
#include "eqnn/relax.hpp"

#include "base/error.hpp"
#include "engine/coordinates.hpp"
#include "engine/optimizers.hpp"
#include "engine/pack.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

namespace eqnn {
namespace {

template <class... Parts> std::string text(const Parts&... parts) {
  std::ostringstream out;
  (write_part(out, parts), ...);
  return out.str();
}

RelaxStatus status_of(Failure failure) {
  switch (failure) {
  case Failure::UnknownElement:
    return RelaxStatus::UnknownElement;
  case Failure::NotFinite:
    return RelaxStatus::NotFinite;
  default:
    return RelaxStatus::Invalid;
  }
}

/// One structure that is being relaxed.
class Relaxing {
public:
  Relaxing(std::size_t input, const RelaxInput& from, const RelaxOptions& options)
      : input_(input)
      , options_(&options)
      , coordinates_(from, options.relax_cell)
      , optimizer_(engine::make_optimizer(options)) {
    relaxed_.last.structure = from.structure;
  }

  std::size_t input() const { return input_; }

  std::int32_t n_atoms() const {
    return static_cast<std::int32_t>(coordinates_.structure().numbers.size());
  }

  const Structure& structure() const { return coordinates_.structure(); }

  bool is_done() const { return is_done_; }

  const Relaxed& relaxed() const { return relaxed_; }

  /// If a structure fails before its first step, the input is wrong. After that, the relaxation is
  /// the cause.
  void fail(Failure failure, const std::string& reason) {
    if (n_steps_ > 0 && failure != Failure::NotFinite) {
      end(RelaxStatus::Exploded, text("after ", n_steps_, " steps: ", reason));
    } else if (n_steps_ > 0) {
      end(RelaxStatus::NotFinite, text("after ", n_steps_, " steps: ", reason));
    } else {
      end(status_of(failure), reason);
    }
  }

  /// Takes the result of an evaluation and makes the next step, unless the relaxation has ended.
  /// Returns false if the caller wants to stop.
  bool take(StructureResult result, const RelaxEvents& events) {
    pull_ = coordinates_.pull(result.forces, result.virial);
    RelaxFrame& last = relaxed_.last;
    last.step = n_steps_;
    last.structure = coordinates_.structure();
    last.energy = result.energy;
    last.forces = std::move(result.forces);
    last.fmax = engine::longest_row(pull_);
    if (n_steps_ == 0) {
      relaxed_.first_energy = result.energy;
    }
    if (events.frame && !events.frame(input_, last)) {
      return false;
    }
    if (exploded()) {
      return true;
    }
    if (last.fmax < options_->fmax) {
      end(RelaxStatus::Converged, "");
    } else if (n_steps_ >= options_->max_steps) {
      end(RelaxStatus::MaxSteps, "");
    } else {
      optimizer_->step(coordinates_.x(), pull_, move_);
      coordinates_.move(move_);
      ++n_steps_;
    }
    return true;
  }

private:
  bool exploded() {
    const double force = relaxed_.last.fmax;
    const double distance = coordinates_.farthest();
    const double ratio = coordinates_.volume_ratio();
    const auto after = [&] { return text("after ", n_steps_, " steps "); };
    if (!(force <= options_->exploded_force)) {
      end(RelaxStatus::Exploded,
          text(after(),
               "a force is ",
               force,
               " eV/Angstrom, expected at most ",
               options_->exploded_force,
               ".\nThe structure is far outside the training data: start closer to a minimum."));
    } else if (!(distance <= options_->exploded_distance)) {
      end(RelaxStatus::Exploded,
          text(after(),
               "an atom is ",
               distance,
               " Angstrom from its initial position, expected at most ",
               options_->exploded_distance,
               ".\nThe structure came apart: start closer to a minimum."));
    } else if (!(std::max(ratio, 1.0 / ratio) <= options_->exploded_volume) || !(ratio > 0.0)) {
      end(RelaxStatus::Exploded,
          text(after(),
               "the volume is ",
               ratio,
               " times the initial volume, expected a change by a factor of at most ",
               options_->exploded_volume,
               ".\nThe cell came apart: start closer to a minimum."));
    }
    return is_done_;
  }

  void end(RelaxStatus status, std::string reason) {
    relaxed_.status = status;
    relaxed_.reason = std::move(reason);
    is_done_ = true;
  }

  std::size_t input_;
  const RelaxOptions* options_;
  engine::Coordinates coordinates_;
  std::unique_ptr<engine::Optimizer> optimizer_;
  std::int32_t n_steps_ = 0;
  bool is_done_ = false;
  Relaxed relaxed_;
  std::vector<double> pull_, move_;
};

void require_above_zero(const char* name, double value) {
  if (!(value > 0.0) || !std::isfinite(value)) {
    fail("RelaxOptions::", name, " is ", value, ", expected a finite number above 0. Correct it.");
  }
}

void require_sensible(const Model& model, const RelaxOptions& options) {
  require_above_zero("fmax", options.fmax);
  require_above_zero("lbfgs.damping", options.lbfgs.damping);
  require_above_zero("lbfgs.alpha", options.lbfgs.alpha);
  require_above_zero("lbfgs.max_step", options.lbfgs.max_step);
  require_above_zero("fire.dt", options.fire.dt);
  require_above_zero("fire.max_step", options.fire.max_step);
  require_above_zero("fire.dt_max", options.fire.dt_max);
  require_above_zero("exploded_force", options.exploded_force);
  require_above_zero("exploded_distance", options.exploded_distance);
  require_above_zero("exploded_volume", options.exploded_volume);
  if (options.max_steps < 0 || options.lbfgs.memory < 1) {
    fail("RelaxOptions::max_steps is ",
         options.max_steps,
         " and lbfgs.memory is ",
         options.lbfgs.memory,
         ", expected 0 or more and 1 or more. Correct them.");
  }
  if (options.relax_cell && model.forces() == ForceKind::Direct) {
    fail(
        model.file(),
        ": forces are direct, so there is no virial to relax cells with.\nRelax positions only, or "
        "use a model whose forces are gradients.");
  }
}

/// The structures that are being relaxed together, and those still waiting.
class Company {
public:
  Company(const Model& model,
          Potential& potential,
          const std::vector<RelaxInput>& inputs,
          const RelaxOptions& options,
          const RelaxEvents& events)
      : model_(model)
      , inputs_(inputs)
      , options_(options)
      , events_(events)
      , at_once_(options.atoms_at_once > 0 ? options.atoms_at_once
                                           : engine::default_atoms_at_once(potential))
      , pass_(potential,
              {true, options.relax_cell, false},
              [this](std::size_t k, StructureResult result) { take(k, std::move(result)); }) {}

  void run() {
    fill();
    while (!underway_.empty()) {
      evaluate();
      if (!hand_out()) {
        return;
      }
      fill();
      if (events_.progress && !events_.progress(n_done_, inputs_.size(), n_evaluations_)) {
        return;
      }
    }
  }

private:
  /// Starts waiting structures as far as the limit on atoms allows.
  void fill() {
    std::int32_t n_atoms = 0;
    for (const Relaxing& one : underway_) {
      n_atoms += one.n_atoms();
    }
    while (next_ < inputs_.size()) {
      const RelaxInput& input = inputs_[next_];
      const auto n = static_cast<std::int32_t>(input.structure.numbers.size());
      if (!underway_.empty() && n > at_once_ - n_atoms) {
        return;
      }
      underway_.emplace_back(next_++, input, options_);
      n_atoms += n;
    }
  }

  void evaluate() {
    for (std::size_t k = 0; k < underway_.size(); ++k) {
      Relaxing& one = underway_[k];
      const std::size_t n_fixed = inputs_[one.input()].fixed.size();
      if (n_fixed != 0 && n_fixed != one.structure().numbers.size()) {
        one.fail(Failure::Invalid,
                 text("there are ",
                      n_fixed,
                      " flags of fixed atoms for ",
                      one.structure().numbers.size(),
                      " atoms, expected one for each or none. Correct the input."));
        continue;
      }
      engine::EdgesOrFailure edges = engine::edges_or_failure(one.structure(), model_);
      if (edges.failure != Failure::None) {
        one.fail(edges.failure, edges.reason);
      } else {
        pass_.add(k, edges.edges);
        ++n_evaluations_;
      }
    }
    if (pass_.n_atoms() > 0) {
      pass_.run();
    }
  }

  void take(std::size_t k, StructureResult result) {
    if (result.failure != Failure::None) {
      underway_[k].fail(result.failure, result.reason);
    } else if (goes_on_) {
      goes_on_ = underway_[k].take(std::move(result), events_);
    }
  }

  /// Returns false if the caller wants to stop.
  bool hand_out() {
    if (!goes_on_) {
      return false;
    }
    for (const Relaxing& one : underway_) {
      if (one.is_done()) {
        ++n_done_;
        if (events_.finished && !events_.finished(one.input(), one.relaxed())) {
          return false;
        }
      }
    }
    underway_.erase(std::remove_if(underway_.begin(),
                                   underway_.end(),
                                   [](const Relaxing& one) { return one.is_done(); }),
                    underway_.end());
    return true;
  }

  const Model& model_;
  const std::vector<RelaxInput>& inputs_;
  const RelaxOptions& options_;
  const RelaxEvents& events_;
  std::int32_t at_once_;
  engine::Pass pass_;
  std::vector<Relaxing> underway_;
  bool goes_on_ = true;
  std::size_t next_ = 0, n_done_ = 0, n_evaluations_ = 0;
};

} // namespace

OptimizerKind optimizer_from_name(std::string_view name) {
  if (name == "lbfgs") {
    return OptimizerKind::Lbfgs;
  }
  if (name == "fire") {
    return OptimizerKind::Fire;
  }
  fail("optimizer \"", name, "\", expected lbfgs or fire.");
}

std::string_view name_of(RelaxStatus status) {
  switch (status) {
  case RelaxStatus::Converged:
    return "converged";
  case RelaxStatus::MaxSteps:
    return "max_steps";
  case RelaxStatus::NotFinite:
    return "nan";
  case RelaxStatus::Exploded:
    return "exploded";
  case RelaxStatus::UnknownElement:
    return "unknown_element";
  default:
    return "invalid";
  }
}

void relax(const Model& model,
           Potential& potential,
           const std::vector<RelaxInput>& inputs,
           const RelaxOptions& options,
           const RelaxEvents& events) {
  require_sensible(model, options);
  Company(model, potential, inputs, options, events).run();
}

} // namespace eqnn
