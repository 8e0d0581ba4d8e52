// SPDX-License-Identifier: BSD-3-Clause
// The whole C++ interface of libeqnn. Angstrom and eV throughout; docs/library.md shows a program.
#pragma once

#include "eqnn/batch.hpp"
#include "eqnn/device.hpp"
#include "eqnn/edges.hpp"
#include "eqnn/error.hpp"
#include "eqnn/halo.hpp"
#include "eqnn/model.hpp"
#include "eqnn/neighbors.hpp"
#include "eqnn/observables.hpp"
#include "eqnn/on_device.hpp"
#include "eqnn/potential.hpp"
#include "eqnn/precision.hpp"
#include "eqnn/relax.hpp"
#include "eqnn/self_test.hpp"
#include "eqnn/version.hpp"
