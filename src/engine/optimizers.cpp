// SPDX-License-Identifier: BSD-3-Clause
#include "engine/optimizers.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace eqnn::engine {
namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// a += factor b
void add(double factor, const std::vector<double>& b, std::vector<double>& a) {
  for (std::size_t k = 0; k < a.size(); ++k) {
    a[k] += factor * b[k];
  }
}

void scale(double factor, std::vector<double>& a) {
  for (double& x : a) {
    x *= factor;
  }
}

/// a - b
std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out = a;
  add(-1.0, b, out);
  return out;
}

} // namespace

double longest_row(const std::vector<double>& x) {
  double longest = 0.0;
  for (std::size_t k = 0; k + 2 < x.size(); k += 3) {
    const double row = std::sqrt(x[k] * x[k] + x[k + 1] * x[k + 1] + x[k + 2] * x[k + 2]);
    if (!std::isnan(longest) && !(row <= longest)) { // keeps NaN
      longest = row;
    }
  }
  return longest;
}

void Lbfgs::learn(const std::vector<double>& x, const std::vector<double>& forces) {
  Pair pair{difference(x, last_x_), difference(last_forces_, forces), 0.0};
  pair.rho = 1.0 / dot(pair.y, pair.s);
  if (!std::isfinite(pair.rho)) {
    // The step was lost in rounding and carries no information. ASE would continue with NaN.
    pairs_.clear();
    return;
  }
  pairs_.push_back(std::move(pair));
  if (pairs_.size() > static_cast<std::size_t>(options_.memory)) {
    pairs_.pop_front();
  }
}

void Lbfgs::step(const std::vector<double>& x,
                 const std::vector<double>& forces,
                 std::vector<double>& move) {
  if (!last_x_.empty()) {
    learn(x, forces);
  }
  // Two-loop recursion, applied to minus the gradient.
  alpha_.resize(pairs_.size());
  move = forces;
  for (std::size_t k = pairs_.size(); k-- > 0;) {
    alpha_[k] = pairs_[k].rho * dot(pairs_[k].s, move);
    add(-alpha_[k], pairs_[k].y, move);
  }
  scale(1.0 / options_.alpha, move);
  for (std::size_t k = 0; k < pairs_.size(); ++k) {
    const double beta = pairs_[k].rho * dot(pairs_[k].y, move);
    add(alpha_[k] - beta, pairs_[k].s, move);
  }
  const double longest = longest_row(move);
  if (longest >= options_.max_step) {
    scale(options_.max_step / longest, move);
  }
  scale(options_.damping, move);
  last_x_ = x;
  last_forces_ = forces;
}

void Fire::steer(const std::vector<double>& forces) {
  const double power = dot(forces, velocity_);
  if (!(power > 0.0)) {
    std::fill(velocity_.begin(), velocity_.end(), 0.0);
    a_ = options_.a_start;
    dt_ *= options_.f_dec;
    n_downhill_ = 0;
    return;
  }
  const double turned = a_ / std::sqrt(dot(forces, forces)) * std::sqrt(dot(velocity_, velocity_));
  scale(1.0 - a_, velocity_);
  add(turned, forces, velocity_);
  if (n_downhill_ > options_.n_min) {
    dt_ = std::min(dt_ * options_.f_inc, options_.dt_max);
    a_ *= options_.f_a;
  }
  ++n_downhill_;
}

void Fire::step(const std::vector<double>& x,
                const std::vector<double>& forces,
                std::vector<double>& move) {
  if (velocity_.empty()) {
    velocity_.assign(x.size(), 0.0);
  } else {
    steer(forces);
  }
  add(dt_, forces, velocity_);
  move = velocity_;
  scale(dt_, move);
  const double norm = std::sqrt(dot(move, move));
  if (norm > options_.max_step) {
    scale(options_.max_step / norm, move);
  }
}

std::unique_ptr<Optimizer> make_optimizer(const RelaxOptions& options) {
  if (options.optimizer == OptimizerKind::Fire) {
    return std::make_unique<Fire>(options.fire);
  }
  return std::make_unique<Lbfgs>(options.lbfgs);
}

} // namespace eqnn::engine
