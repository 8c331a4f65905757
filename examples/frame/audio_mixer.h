// SPDX-License-Identifier: Apache-2.0
// The audio task of the frame example: voices mixed into rooms, each room's mix through its impulse
// response, all rooms summed into one block of output.
//
// How: overlap-save convolution. For block b the last fft_frames samples of a room's voices are
// summed, transformed, multiplied with the spectrum of the room's impulse response; the rooms are
// summed as spectra and one inverse transform gives the block. A block depends on the voices' samples only, not on the block before it, so blocks may be
// computed late, twice or out of order and come out the same: that is what makes results checkable.
// Relies on: Eigen's FFT. Does not: play sound, resample, read files.
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <vector>

namespace tactus::frame {

// Thread-safety: const members may be called from any number of threads at once.
class audio_mixer {
 public:
  struct config {
    unsigned rooms = 1;
    unsigned voices = 8;  // per room
    unsigned block_frames = 240;  // output samples per block, <= fft_frames
    unsigned fft_frames = 2048;   // a power of two; the impulse response has what the block leaves
    unsigned loop_blocks = 32;    // the voices' PCM repeats after so many blocks
    unsigned sample_rate_hz = 48000;
    std::uint64_t seed = 1;
  };

  // Synthesises voices (harmonics, vibrato, noise) and impulse responses (decaying reflections).
  // Throws std::invalid_argument when sizes do not fit each other.
  explicit audio_mixer(const config& cfg);

  // Fills `out` (block_frames samples) with block number `block` modulo loop_blocks.
  void mix(std::uint64_t block, std::span<float> out) const;
  // The same block by the definition of convolution, in double: for tests, slow.
  std::vector<double> mix_direct(std::uint64_t block) const;

  // Hash of the block that mix() gives; what a task computes and is checked by.
  std::uint64_t block_hash(std::uint64_t block) const;

  unsigned loop_blocks() const { return cfg_.loop_blocks; }
  unsigned block_frames() const { return cfg_.block_frames; }
  unsigned impulse_frames() const { return cfg_.fft_frames - cfg_.block_frames + 1; }

 private:
  float sample(unsigned voice, std::int64_t frame) const;

  config cfg_;
  std::size_t loop_frames_;
  std::vector<std::vector<float>> pcm_;      // per voice, one loop; those of a room follow each other
  std::vector<std::vector<float>> impulse_;  // per room
  std::vector<std::vector<std::complex<float>>> spectrum_;  // of impulse_, half
};

}  // namespace tactus::frame
