// SPDX-License-Identifier: GPL-2.0-only
// The one mechanism by which a failure on one rank ends all ranks, with its message. A rank that
// stopped alone would leave the others waiting, and its output could be lost when MPI aborts.

#ifndef LMP_EQNN_COLLECTIVE_H
#define LMP_EQNN_COLLECTIVE_H

#include "base/error.hpp"

#include <mpi.h>

#include <string>

namespace LAMMPS_NS {

// Collective. Each rank passes its failure or an empty string. Returns the same on all ranks: the
// message of the first rank that failed, with its number unless all failed; empty if none did.
std::string first_failure(MPI_Comm world, const std::string &mine);

// The index of this rank among those of its node. Collective.
int rank_on_node(MPI_Comm world);

// Collective. Runs body on each rank. If it throws on any, throws eqnn::Error on all. body must not
// communicate.
template <class Body> void together(MPI_Comm world, const std::string &no_memory, const Body &body)
{
  const std::string failure =
      first_failure(world, eqnn::failure_of([&] { return no_memory; }, body));
  if (!failure.empty()) throw eqnn::Error(failure);
}

}    // namespace LAMMPS_NS

#endif
