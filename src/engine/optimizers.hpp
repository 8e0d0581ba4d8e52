// SPDX-License-Identifier: BSD-3-Clause
// ASE's L-BFGS and FIRE, each for one structure: from where it is and the forces there to the next
// step.
#pragma once

#include "eqnn/relax.hpp"

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace eqnn::engine {

/// The longest of the rows of three of a vector: what ASE calls the norm of a gradient.
double longest_row(const std::vector<double>& x);

class Optimizer {
public:
  virtual ~Optimizer() = default;

  /// x, forces: [3 rows]. Writes the step from x.
  virtual void step(const std::vector<double>& x,
                    const std::vector<double>& forces,
                    std::vector<double>& move) = 0;
};

/// J. Nocedal, Math. Comp. 35 (1980) 773, as ase.optimize.LBFGS has it: a fixed first guess of the
/// inverse Hessian, and the whole step shortened where an atom would go too far.
class Lbfgs final : public Optimizer {
public:
  explicit Lbfgs(const LbfgsOptions& options)
      : options_(options) {}

  void step(const std::vector<double>& x,
            const std::vector<double>& forces,
            std::vector<double>& move) override;

private:
  /// What one step taught.
  struct Pair {
    std::vector<double> s, y; ///< of positions, of gradients
    double rho;
  };

  void learn(const std::vector<double>& x, const std::vector<double>& forces);

  LbfgsOptions options_;
  std::deque<Pair> pairs_; ///< the oldest first
  std::vector<double> last_x_, last_forces_, alpha_;
};

/// E. Bitzek et al., Phys. Rev. Lett. 97 (2006) 170201, as ase.optimize.FIRE has it.
class Fire final : public Optimizer {
public:
  explicit Fire(const FireOptions& options)
      : options_(options)
      , dt_(options.dt)
      , a_(options.a_start) {}

  void step(const std::vector<double>& x,
            const std::vector<double>& forces,
            std::vector<double>& move) override;

private:
  /// Turns the velocity towards the force, or stops.
  void steer(const std::vector<double>& forces);

  FireOptions options_;
  double dt_, a_;
  std::int32_t n_downhill_ = 0;
  std::vector<double> velocity_; ///< empty before the first step
};

std::unique_ptr<Optimizer> make_optimizer(const RelaxOptions& options);

} // namespace eqnn::engine
