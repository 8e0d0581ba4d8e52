// SPDX-License-Identifier: GPL-2.0-only
// What fails on one rank ends all, with its sentence: the one mechanism for that. A rank that gave up
// alone would leave the others waiting, and what it printed could be lost when MPI aborts.

#ifndef LMP_EQNN_COLLECTIVE_H
#define LMP_EQNN_COLLECTIVE_H

#include "base/error.hpp"

#include <mpi.h>

#include <string>

namespace LAMMPS_NS {

// All ranks call it together, each with its own failure or an empty string. Returns the same on all:
// the sentence of the first rank that failed, with its number unless all failed; empty if none did.
std::string first_failure(MPI_Comm world, const std::string &mine);

// The place of this rank among those of its node. All ranks call it together.
int rank_on_node(MPI_Comm world);

// Runs body on all ranks, which call it together. Where it throws on some, eqnn::Error on all.
// Nothing in body may communicate.
template <class Body> void together(MPI_Comm world, const std::string &no_memory, const Body &body)
{
  const std::string failure =
      first_failure(world, eqnn::failure_of([&] { return no_memory; }, body));
  if (!failure.empty()) throw eqnn::Error(failure);
}

}    // namespace LAMMPS_NS

#endif
