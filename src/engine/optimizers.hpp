// SPDX-License-Identifier: BSD-3-Clause
// ASE's L-BFGS and FIRE. Each optimizer serves one structure: it computes the next step from
// positions and forces.
#pragma once

#include "eqnn/relax.hpp"

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace eqnn::engine {

/// The largest norm of a row of three. ASE compares it with fmax.
double longest_row(const std::vector<double>& x);

class Optimizer {
public:
  virtual ~Optimizer() = default;

  /// x, forces: flattened rows of three. Writes the step from x to `move`, in the same form.
  virtual void step(const std::vector<double>& x,
                    const std::vector<double>& forces,
                    std::vector<double>& move) = 0;
};

/// J. Nocedal, Math. Comp. 35 (1980) 773, as in ase.optimize.LBFGS. The initial inverse Hessian is
/// fixed. If an atom would move too far, the whole step is scaled down.
class Lbfgs final : public Optimizer {
public:
  explicit Lbfgs(const LbfgsOptions& options)
      : options_(options) {}

  void step(const std::vector<double>& x,
            const std::vector<double>& forces,
            std::vector<double>& move) override;

private:
  /// The differences that one step adds.
  struct Pair {
    std::vector<double> s, y; ///< of positions; of gradients
    double rho;
  };

  void learn(const std::vector<double>& x, const std::vector<double>& forces);

  LbfgsOptions options_;
  std::deque<Pair> pairs_; ///< oldest first
  std::vector<double> last_x_, last_forces_, alpha_;
};

/// E. Bitzek et al., Phys. Rev. Lett. 97 (2006) 170201, as in ase.optimize.FIRE.
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
  /// Turns the velocity toward the force, or sets it to zero if it points uphill.
  void steer(const std::vector<double>& forces);

  FireOptions options_;
  double dt_, a_;
  std::int32_t n_downhill_ = 0;
  std::vector<double> velocity_; ///< empty before the first step
};

std::unique_ptr<Optimizer> make_optimizer(const RelaxOptions& options);

} // namespace eqnn::engine
