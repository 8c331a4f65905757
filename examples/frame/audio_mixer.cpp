// SPDX-License-Identifier: Apache-2.0
#include "audio_mixer.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <stdexcept>
#include <string>
#include <unsupported/Eigen/FFT>

#include "random.h"

namespace tactus::frame {
namespace {

// Plans and buffers of one thread: Eigen's FFT object keeps its twiddle factors in itself.
struct scratch {
  Eigen::FFT<float> fft;
  std::vector<float> window;
  std::vector<std::complex<float>> spectrum;
  std::vector<std::complex<float>> sum;

  explicit scratch(std::size_t frames)
      : window(frames), spectrum(frames / 2 + 1), sum(frames / 2 + 1) {
    fft.SetFlag(Eigen::FFT<float>::HalfSpectrum);
  }
};

scratch& thread_scratch(std::size_t frames) {
  thread_local std::vector<std::unique_ptr<scratch>> all;
  for (auto& one : all)
    if (one->window.size() == frames) return *one;
  all.push_back(std::make_unique<scratch>(frames));
  return *all.back();
}

}  // namespace

audio_mixer::audio_mixer(const config& cfg)
    : cfg_(cfg), loop_frames_(std::size_t{cfg.block_frames} * cfg.loop_blocks) {
  if (cfg.rooms == 0 || cfg.voices == 0 || cfg.block_frames == 0 || cfg.loop_blocks == 0)
    throw std::invalid_argument("audio: rooms, voices, block and loop must be at least 1");
  if ((cfg.fft_frames & (cfg.fft_frames - 1)) != 0 || cfg.fft_frames < 2 * cfg.block_frames)
    throw std::invalid_argument("audio: fft_frames " + std::to_string(cfg.fft_frames) +
                                " must be a power of two and at least twice the block of " +
                                std::to_string(cfg.block_frames) + " frames");
  random_source random(cfg.seed);
  const double two_pi = 2 * std::numbers::pi;
  scratch& work = thread_scratch(cfg.fft_frames);
  for (unsigned v = 0; v < cfg.rooms * cfg.voices; ++v) {
    // A whole number of periods per loop, so that the loop has no click at its seam.
    const double loop_s = static_cast<double>(loop_frames_) / cfg.sample_rate_hz;
    const double base_hz = std::max(1.0, std::round(random.between(80, 600) * loop_s)) / loop_s;
    std::vector<float> pcm(loop_frames_);
    double harmonic[4];
    for (double& h : harmonic) h = random.between(0.05, 0.4);
    const double tremolo = random.between(0.1, 0.6);
    for (std::size_t i = 0; i < loop_frames_; ++i) {
      const double t = static_cast<double>(i) / cfg.sample_rate_hz;
      double s = 0;
      for (int h = 0; h < 4; ++h) s += harmonic[h] * std::sin(two_pi * base_hz * (h + 1) * t);
      s *= 1 - tremolo * 0.5 * (1 + std::sin(two_pi * t / loop_s));
      pcm[i] = static_cast<float>(s + random.between(-0.02, 0.02));
    }
    pcm_.push_back(std::move(pcm));
  }
  for (unsigned room = 0; room < cfg.rooms; ++room) {
    const double gain = 1.0 / (cfg.rooms * cfg.voices);
    // A direct hit, then reflections that decay by 60 dB over the response.
    std::vector<float> impulse(impulse_frames());
    impulse[0] = static_cast<float>(gain);
    for (std::size_t i = 1; i < impulse.size(); ++i) {
      const double decay = std::pow(10.0, -3.0 * static_cast<double>(i) / static_cast<double>(impulse.size()));
      impulse[i] = static_cast<float>(gain * 0.1 * decay * random.between(-1, 1));
    }
    std::fill(work.window.begin(), work.window.end(), 0.0f);
    std::copy(impulse.begin(), impulse.end(), work.window.begin());
    std::vector<std::complex<float>> spectrum(cfg.fft_frames / 2 + 1);
    work.fft.fwd(spectrum.data(), work.window.data(), static_cast<Eigen::Index>(cfg.fft_frames));
    impulse_.push_back(std::move(impulse));
    spectrum_.push_back(std::move(spectrum));
  }
}

float audio_mixer::sample(unsigned voice, std::int64_t frame) const {
  const auto n = static_cast<std::int64_t>(loop_frames_);
  return pcm_[voice][static_cast<std::size_t>(((frame % n) + n) % n)];
}

void audio_mixer::mix(std::uint64_t block, std::span<float> out) const {
  const std::size_t n = cfg_.fft_frames;
  scratch& work = thread_scratch(n);
  std::fill(work.sum.begin(), work.sum.end(), std::complex<float>());
  // First frame of the window: its last block_frames samples are this block.
  const std::size_t end = (block % cfg_.loop_blocks + 1) * cfg_.block_frames;
  const std::size_t start = (end + (n / loop_frames_ + 1) * loop_frames_ - n) % loop_frames_;
  for (unsigned room = 0; room < cfg_.rooms; ++room) {
    std::fill(work.window.begin(), work.window.end(), 0.0f);
    for (unsigned v = room * cfg_.voices; v < (room + 1) * cfg_.voices; ++v) {
      std::size_t at = start;
      for (std::size_t i = 0; i < n;) {  // the loop may be shorter than the window
        const std::size_t take = std::min(n - i, loop_frames_ - at);
        const float* const from = pcm_[v].data() + at;
        float* const to = work.window.data() + i;
        for (std::size_t k = 0; k < take; ++k) to[k] += from[k];
        i += take;
        at = 0;
      }
    }
    work.fft.fwd(work.spectrum.data(), work.window.data(), static_cast<Eigen::Index>(n));
    const auto& response = spectrum_[room];
    for (std::size_t k = 0; k < work.sum.size(); ++k) {
      // Written out: operator* of std::complex also handles infinities, which cannot occur.
      const auto a = work.spectrum[k], b = response[k];
      work.sum[k] += std::complex<float>(a.real() * b.real() - a.imag() * b.imag(),
                                         a.real() * b.imag() + a.imag() * b.real());
    }
  }
  work.fft.inv(work.window.data(), work.sum.data(), static_cast<Eigen::Index>(n));
  std::copy_n(work.window.end() - cfg_.block_frames, cfg_.block_frames, out.begin());
}

std::vector<double> audio_mixer::mix_direct(std::uint64_t block) const {
  std::vector<double> out(cfg_.block_frames);
  const auto first = static_cast<std::int64_t>((block % cfg_.loop_blocks) * cfg_.block_frames);
  for (unsigned v = 0; v < cfg_.rooms * cfg_.voices; ++v) {
    const std::vector<float>& impulse = impulse_[v / cfg_.voices];
    for (unsigned i = 0; i < cfg_.block_frames; ++i)
      for (std::size_t k = 0; k < impulse.size(); ++k)
        out[i] += static_cast<double>(impulse[k]) * sample(v, first + i - static_cast<std::int64_t>(k));
  }
  return out;
}

std::uint64_t audio_mixer::block_hash(std::uint64_t block) const {
  thread_local std::vector<float> out;
  out.resize(cfg_.block_frames);
  mix(block, out);
  return XXH3_64bits(out.data(), out.size() * sizeof(float));
}

}  // namespace tactus::frame
