// SPDX-License-Identifier: BSD-3-Clause
// A plan's schedule, played: what each buffer holds when a stage needs it.
#pragma once

#include "plan/plan.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace eqnn::test {

using plan::kNoValue;
using plan::Plan;
using plan::ValueId;

/// Plays the schedule and keeps a record of what each buffer holds.
class Playback {
public:
  explicit Playback(const Plan& plan)
      : plan_(plan) {}

  void write(ValueId v, bool adjoint) { holds_[buffer(v, adjoint)] = {v, adjoint}; }

  void expect_held(ValueId v, bool adjoint) const {
    const auto found = holds_.find(buffer(v, adjoint));
    ASSERT_NE(found, holds_.end()) << name(v, adjoint);
    EXPECT_EQ(found->second, std::make_pair(v, adjoint))
        << name(v, adjoint) << " was overwritten by " << found->second.first;
  }

private:
  std::int32_t buffer(ValueId v, bool adjoint) const {
    const auto& value = plan_.values[static_cast<std::size_t>(v)];
    return adjoint ? value.adjoint_buffer : value.buffer;
  }

  std::string name(ValueId v, bool adjoint) const {
    return (adjoint ? "adjoint of " : "") + plan_.values[static_cast<std::size_t>(v)].name;
  }

  const Plan& plan_;
  std::map<std::int32_t, std::pair<ValueId, bool>> holds_;
};

/// What a stage and its adjoint read and write, as the stage states it. That it states the truth is tested
/// where its kernels run in buffers that are given away by it: tests/stages.
struct Use {
  ValueId out = kNoValue;
  std::vector<plan::Input> in;
  std::vector<ValueId> again; ///< values that the adjoint reads
};

inline Use use_of(plan::Stage stage) {
  return std::visit(
      [](auto& s) {
        Use use{s.output(), {}, s.saved_for_adjoint()};
        for (const plan::Input* in : s.inputs()) {
          use.in.push_back(*in);
        }
        return use;
      },
      stage);
}

/// Plays a plan forward and in reverse.
inline void play(const Plan& plan) {
  Playback playback(plan);
  for (const auto& stage : plan.stages) {
    Use use = use_of(stage);
    for (const auto& in : use.in) {
      if (in.value != kNoValue) {
        playback.expect_held(in.value, false);
      }
    }
    if (use.out != kNoValue) {
      playback.write(use.out, false);
    }
  }
  // What nobody reads is the result: its adjoint is given.
  std::set<ValueId> read;
  for (const auto& stage : plan.stages) {
    for (const auto& in : use_of(stage).in) {
      read.insert(in.value);
    }
  }
  for (const auto& stage : plan.stages) {
    const ValueId out = use_of(stage).out;
    if (out != kNoValue && read.count(out) == 0) {
      playback.write(out, true);
    }
  }
  for (auto stage = plan.stages.rbegin(); stage != plan.stages.rend(); ++stage) {
    Use use = use_of(*stage);
    for (const ValueId v : use.again) {
      playback.expect_held(v, false);
    }
    if (use.out != kNoValue) {
      playback.expect_held(use.out, true);
    }
    for (const auto& in : use.in) {
      if (in.value == kNoValue) {
        continue;
      }
      if (in.adjoint == plan::Write::Add) {
        playback.expect_held(in.value, true);
      }
      playback.write(in.value, true);
    }
  }
}

} // namespace eqnn::test
