// SPDX-License-Identifier: GPL-2.0-only
// Ends all ranks with the message of the rank that failed. All code uses this one mechanism. A rank
// that stopped alone would leave the others waiting, and its output could be lost when MPI aborts.

#ifndef LMP_EQNN_COLLECTIVE_H
#define LMP_EQNN_COLLECTIVE_H

#include "base/error.hpp"

#include <mpi.h>

#include <string>

namespace LAMMPS_NS {

// Collective. Each rank passes its failure or an empty string. Returns the same string on all
// ranks: the message of the first rank that failed, preceded by its number unless all ranks failed.
// Empty if none failed.
std::string first_failure(MPI_Comm world, const std::string &mine);

// Collective. The index of this rank among the ranks on its node.
int rank_on_node(MPI_Comm world);

// Collective. Runs body on each rank. If it throws on any rank, throws eqnn::Error on all. body
// must not communicate. no_memory: the message if memory runs out.
template <class Body> void together(MPI_Comm world, const std::string &no_memory, const Body &body)
{
  const std::string failure =
      first_failure(world, eqnn::failure_of([&] { return no_memory; }, body));
  if (!failure.empty()) throw eqnn::Error(failure);
}

}    // namespace LAMMPS_NS

#endif
