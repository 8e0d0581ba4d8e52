// SPDX-License-Identifier: BSD-3-Clause
#include "reference/stages/rms_norm.hpp"

#include "reference/edges.hpp"
#include "reference/features.hpp"
#include "reference/network.hpp"

#include <cmath>

namespace eqnn::reference {
namespace {

/// Calls use(block, component, channel) for all entries of a node.
template <class Use> void for_entries(const Irreps& irreps, const Use& use) {
  for (std::size_t b = 0; b < irreps.size(); ++b) {
    const std::int32_t first = first_component(irreps, static_cast<std::int32_t>(b));
    for (std::int32_t m = 0; m < irreps[b].components(); ++m) {
      for (std::int32_t c = 0; c < irreps[b].channels; ++c) {
        use(b, first + m, c);
      }
    }
  }
}

/// 1 / (number of blocks * components of block b * channels of block b).
double share(const Irreps& irreps, std::size_t b) {
  return 1.0 / (static_cast<double>(irreps.size()) * irreps[b].components() * irreps[b].channels);
}

double inverse_rms(const Irreps& irreps, double eps, const Value& x, std::int64_t node) {
  double mean = eps;
  for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
    mean += share(irreps, b) * x.at(node, k, c) * x.at(node, k, c);
  });
  return 1.0 / std::sqrt(mean);
}

} // namespace

Value rms_norm(const RmsNormStage& stage, const Irreps& irreps, const Value& x) {
  Value y = features(x.rows, irreps);
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const double inverse = inverse_rms(irreps, stage.eps, x, i);
    for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
      y.at(i, k, c) = x.at(i, k, c) * stage.scale[b].values[at(c)] * inverse;
    });
  }
  return y;
}

void rms_norm_adjoint(const RmsNormStage& stage,
                      const Irreps& irreps,
                      const Value& x,
                      const Value& adj_out,
                      Value& adj_x) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const double inverse = inverse_rms(irreps, stage.eps, x, i);
    double projection = 0.0;
    for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
      projection += adj_out.at(i, k, c) * x.at(i, k, c) * stage.scale[b].values[at(c)];
    });
    for_entries(irreps, [&](std::size_t b, std::int32_t k, std::int32_t c) {
      adj_x.at(i, k, c) +=
          inverse * (adj_out.at(i, k, c) * stage.scale[b].values[at(c)] -
                     inverse * inverse * projection * share(irreps, b) * x.at(i, k, c));
    });
  }
}

Value forward(const RmsNormStage& op, Network& network) {
  return rms_norm(op, network.out_irreps(), network.value(op.features));
}

void adjoint(const RmsNormStage& op, Network& network) {
  rms_norm_adjoint(op,
                   network.out_irreps(),
                   network.value(op.features),
                   network.adj_out(),
                   network.adjoint(op.features));
}

} // namespace eqnn::reference
