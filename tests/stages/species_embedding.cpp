// SPDX-License-Identifier: BSD-3-Clause
#include "stages/stage_case.hpp"

namespace eqnn::test {

std::vector<StageCase> species_embedding_cases() {
  return {one_stage("c5", Parity::O3, 3, [](GraphBuilder& b) { return b.embedding(5); }),
          one_stage("c33", Parity::O3, 3, [](GraphBuilder& b) { return b.embedding(33); })};
}

} // namespace eqnn::test
