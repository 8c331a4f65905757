// SPDX-License-Identifier: Apache-2.0
#include "nbody.h"

#include <xxhash.h>

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "random.h"

namespace tactus::frame {
namespace {
// Distances below this do not raise the force: no close encounter needs a smaller step.
constexpr float k_softening_squared = 0.05f * 0.05f;
}  // namespace

nbody::nbody(const config& cfg) : cfg_(cfg) {
  if (cfg.bodies < 2 || cfg.loop_steps == 0)
    throw std::invalid_argument("physics: at least 2 bodies and 1 step are needed");
  random_source random(cfg.seed);
  for (unsigned i = 0; i < cfg.bodies; ++i) {
    // A rotating disc with some thickness: bound, so that it neither explodes nor collapses.
    const double radius = std::sqrt(random.between(0.05, 1.0));
    const double angle = random.between(0, 2 * std::numbers::pi);
    const double speed = 0.7 * std::sqrt(radius);
    mass_.push_back(1.0f / static_cast<float>(cfg.bodies));
    start_position_.x.push_back(static_cast<float>(radius * std::cos(angle)));
    start_position_.y.push_back(static_cast<float>(radius * std::sin(angle)));
    start_position_.z.push_back(static_cast<float>(random.between(-0.1, 0.1)));
    start_velocity_.x.push_back(static_cast<float>(-speed * std::sin(angle)));
    start_velocity_.y.push_back(static_cast<float>(speed * std::cos(angle)));
    start_velocity_.z.push_back(0);
  }
  // Leapfrog wants velocities half a step before the positions.
  for (unsigned i = 0; i < cfg.bodies; ++i) {
    float a[3];
    acceleration(start_position_, i, a);
    start_velocity_.x[i] -= 0.5f * cfg.step_s * a[0];
    start_velocity_.y[i] -= 0.5f * cfg.step_s * a[1];
    start_velocity_.z[i] -= 0.5f * cfg.step_s * a[2];
  }
  restart();
}

void nbody::restart() {
  position_ = start_position_;
  velocity_ = start_velocity_;
  next_ = position_;
  step_ = 0;
}

void nbody::acceleration(const bodies_xyz& at, unsigned i, float out[3]) const {
  float ax = 0, ay = 0, az = 0;
  const float px = at.x[i], py = at.y[i], pz = at.z[i];
  for (unsigned j = 0; j < cfg_.bodies; ++j) {
    const float dx = at.x[j] - px, dy = at.y[j] - py, dz = at.z[j] - pz;
    const float d2 = dx * dx + dy * dy + dz * dz + k_softening_squared;
    const float f = mass_[j] / (d2 * std::sqrt(d2));
    ax += f * dx;
    ay += f * dy;
    az += f * dz;
  }
  out[0] = ax;
  out[1] = ay;
  out[2] = az;
}

void nbody::begin_step() {
  if (step_ == cfg_.loop_steps) restart();
}

void nbody::run_chunk(unsigned first, unsigned last) {
  for (unsigned i = first; i < last; ++i) {
    float a[3];
    acceleration(position_, i, a);
    velocity_.x[i] += cfg_.step_s * a[0];
    velocity_.y[i] += cfg_.step_s * a[1];
    velocity_.z[i] += cfg_.step_s * a[2];
    next_.x[i] = position_.x[i] + cfg_.step_s * velocity_.x[i];
    next_.y[i] = position_.y[i] + cfg_.step_s * velocity_.y[i];
    next_.z[i] = position_.z[i] + cfg_.step_s * velocity_.z[i];
  }
}

std::uint64_t nbody::end_step() {
  std::swap(position_, next_);
  ++step_;
  const std::size_t bytes = position_.x.size() * sizeof(float);
  std::uint64_t hash = XXH3_64bits_withSeed(position_.x.data(), bytes, step_);
  hash = XXH3_64bits_withSeed(position_.y.data(), bytes, hash);
  return XXH3_64bits_withSeed(position_.z.data(), bytes, hash);
}

double nbody::energy() const {
  double kinetic = 0, potential = 0;
  for (unsigned i = 0; i < cfg_.bodies; ++i) {
    float a[3];
    acceleration(position_, i, a);
    const double h = 0.5 * cfg_.step_s;
    const double vx = velocity_.x[i] + h * a[0], vy = velocity_.y[i] + h * a[1],
                 vz = velocity_.z[i] + h * a[2];
    kinetic += 0.5 * mass_[i] * (vx * vx + vy * vy + vz * vz);
    for (unsigned j = 0; j < i; ++j) {
      const double dx = position_.x[j] - position_.x[i], dy = position_.y[j] - position_.y[i],
                   dz = position_.z[j] - position_.z[i];
      potential -= static_cast<double>(mass_[i]) * mass_[j] /
                   std::sqrt(dx * dx + dy * dy + dz * dz + k_softening_squared);
    }
  }
  return kinetic + potential;
}

}  // namespace tactus::frame
