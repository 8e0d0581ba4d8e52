// SPDX-License-Identifier: BSD-3-Clause
#include "base/error.hpp"
#include "plan/plan.hpp"

#include <sstream>

namespace eqnn::plan {
namespace {

constexpr std::array<const char*, 4> kLoweringNames{"sparse", "grid", "fourier", "aligned"};

class Describer {
public:
  explicit Describer(const Plan& plan)
      : plan_(plan) {}

  std::string operator()(const Embedding& s) const { return out(s.out) + "species embedding"; }

  std::string operator()(const NeighborSum& s) const {
    return out(s.out) + "sum over neighbours, matrix " + std::to_string(s.matrix) + ", radial " +
           std::to_string(s.radial);
  }

  std::string operator()(const Linear& s) const {
    return out(s.out) + "linear of " + in(s.in) +
           (s.residual.value == kNoValue ? "" : " + " + in(s.residual)) +
           (s.bias_per_neighbor ? ", bias per neighbour" : "");
  }

  std::string operator()(const Add& s) const { return out(s.out) + in(s.a) + " + " + in(s.b); }

  std::string operator()(const Norm& s) const {
    return out(s.out) + "equivariant norm of " + in(s.in);
  }

  std::string operator()(const Gate& s) const {
    return out(s.out) + "gate of " + in(s.features) + " by " + in(s.gates);
  }

  std::string operator()(const Attention& s) const {
    return out(s.out) + "edge attention of source " + in(s.source) + ", center " + in(s.center) +
           ", matrix " + std::to_string(s.matrix) + ", radial " + std::to_string(s.radial) + ", " +
           std::to_string(s.heads) + " heads";
  }

  std::string operator()(const BlockLinear& s) const {
    return out(s.out) + "linear by block of " + in(s.in) +
           (s.residual.value == kNoValue ? "" : " + " + in(s.residual)) +
           (s.per_species ? ", per species" : "");
  }

  std::string operator()(const EdgeProduct& s) const {
    return out(s.out) + "edge product of " + in(s.source) + ", radial " + std::to_string(s.radial) +
           ", " + std::to_string(s.paths.size()) + " paths";
  }

  std::string operator()(const ZonalProduct& s) const {
    return out(s.out) + "convolution of " + in(s.source) + ", radial " + std::to_string(s.radial) +
           ", aligned with the edge, " + std::to_string(s.terms.size()) + " terms";
  }

  std::string operator()(const BlockGate& s) const { return out(s.out) + "gate of " + in(s.in); }

  std::string operator()(const RmsNorm& s) const { return out(s.out) + "RMS norm of " + in(s.in); }

  std::string operator()(const Polynomial& s) const {
    return out(s.out) + "polynomial of " + in(s.in) + ", " + std::to_string(s.monomials.size()) +
           " monomials, " + std::to_string(s.target.size()) + " terms";
  }

  std::string operator()(const SphereProduct& s) const {
    return out(s.out) + "product on the sphere of " + in(s.a) + " and " + in(s.b) + ", " +
           name_of(s.lowering);
  }

  std::string operator()(const SpherePower& s) const {
    return out(s.out) + "powers on the sphere of " + in(s.in) + ", " + name_of(s.lowering);
  }

  std::string operator()(const Repulsion&) const { return "energy += screened repulsion"; }

  std::string operator()(const Readout& s) const { return "energy += readout of " + in(s.in); }

  std::string operator()(const DirectForces& s) const { return "forces = vectors of " + in(s.in); }

private:
  const NodeValue& value(ValueId v) const { return plan_.values[static_cast<std::size_t>(v)]; }

  std::string out(ValueId v) const {
    const NodeValue& x = value(v);
    return x.name + " [" + std::to_string(x.components) + ", " + std::to_string(x.channels) +
           "] in " + std::to_string(x.buffer) + "/" + std::to_string(x.adjoint_buffer) +
           (x.on_ghosts ? ", with ghosts" : "") + " = ";
  }

  std::string in(const Input& input) const {
    return value(input.value).name + (input.adjoint == Write::Add ? " (+=)" : " (=)");
  }

  const Plan& plan_;
};

} // namespace

std::string name_of(Lowering lowering) {
  return kLoweringNames[static_cast<std::size_t>(lowering)];
}

Lowering product_lowering_from_name(std::string_view name) {
  for (const auto lowering : {Lowering::Sparse, Lowering::Grid, Lowering::Fourier}) {
    if (name == name_of(lowering)) {
      return lowering;
    }
  }
  fail("products \"", name, "\", expected sparse, grid or fourier.");
}

Lowering convolution_lowering_from_name(std::string_view name) {
  for (const auto lowering : {Lowering::Sparse, Lowering::Aligned}) {
    if (name == name_of(lowering)) {
      return lowering;
    }
  }
  fail("convolutions \"", name, "\", expected sparse or aligned.");
}

std::string describe(const Plan& plan) {
  std::ostringstream text;
  for (std::size_t k = 0; k < plan.radials.size(); ++k) {
    const RadialTable& table = plan.radials[k];
    text << "radial " << k << ": " << table.n_intervals << " intervals of degree " << table.degree
         << ", " << table.channels << " channels, relative error " << table.error << "\n";
  }
  for (std::size_t k = 0; k < plan.couplings.size(); ++k) {
    text << "matrix " << k << ": " << plan.couplings[k].components << " components\n";
  }
  for (const Stage& stage : plan.stages) {
    text << std::visit(Describer(plan), stage) << "\n";
  }
  return text.str();
}

} // namespace eqnn::plan
