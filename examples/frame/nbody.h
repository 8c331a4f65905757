// SPDX-License-Identifier: Apache-2.0
// The physics task of the frame example: gravity between bodies, one fixed time step at a time,
// each step split into chunks of bodies that may run in parallel.
//
// How: leapfrog (velocities live half a step behind positions), softened gravity, all pairs. A
// chunk reads the positions of the step before and writes its own bodies' new ones, so the result
// does not depend on the order or number of chunks, bit for bit. After loop_steps the scene starts
// anew: every step of the loop has one right answer, which is what results are checked by.
// Relies on: nothing but arithmetic. Does not: collide, render, schedule.
#pragma once

#include <cstdint>
#include <vector>

namespace tactus::frame {

// Thread-safety: run_chunk() for disjoint ranges may run at once; all else one thread at a time,
// and not while chunks run.
class nbody {
 public:
  struct config {
    unsigned bodies = 256;
    unsigned loop_steps = 32;
    float step_s = 0.002f;
    std::uint64_t seed = 1;
  };

  explicit nbody(const config& cfg);

  // One step: begin_step(); run_chunk() over ranges that cover [0, bodies()); end_step().
  void begin_step();
  void run_chunk(unsigned first, unsigned last);
  // Swaps the buffers; returns the hash of the new positions.
  std::uint64_t end_step();

  unsigned bodies() const { return cfg_.bodies; }
  unsigned loop_steps() const { return cfg_.loop_steps; }
  // Steps done since the scene started, < loop_steps except right after end_step().
  unsigned step() const { return step_; }
  // Kinetic + potential energy, velocities brought to the time of the positions. For tests.
  double energy() const;

 private:
  struct bodies_xyz {
    std::vector<float> x, y, z;
  };
  void restart();
  void acceleration(const bodies_xyz& at, unsigned i, float out[3]) const;

  config cfg_;
  std::vector<float> mass_;
  bodies_xyz start_position_, start_velocity_;
  bodies_xyz position_, next_, velocity_;
  unsigned step_ = 0;
};

}  // namespace tactus::frame
