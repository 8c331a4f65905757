// SPDX-License-Identifier: Apache-2.0
//
// Stands in for libFuzzer where there is none: runs the target over the files given, or over inputs
// from a fixed seed: random bytes, and the words a target names changed, cut and shuffled.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "words.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace {

void run(const std::string &input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(input.data()), input.size());
}

std::string make_input(std::mt19937 &random) {
  std::string out;
  for (unsigned parts = random() % 40; parts; --parts) {
    const std::string &word = fuzz_words()[random() % fuzz_words().size()];
    switch (random() % 4) {
      case 0: out += static_cast<char>(random()); break;
      case 1: out += word.substr(0, random() % (word.size() + 1)); break;
      default: out += word;
    }
  }
  if (!out.empty() && random() % 4 == 0) out[random() % out.size()] ^= static_cast<char>(1u << random() % 8);
  return out;
}

}  // namespace

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream in(argv[i], std::ios::binary);
    run({std::istreambuf_iterator<char>(in), {}});
  }
  if (argc > 1) return 0;
  constexpr int k_rounds = 50'000;
  std::mt19937 random(1);
  for (int round = 0; round < k_rounds; ++round) run(make_input(random));
  std::printf("%d inputs\n", k_rounds);
}
