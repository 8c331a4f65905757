// SPDX-License-Identifier: Apache-2.0
//
// What a fuzz target's inputs are made of when they are made by replay.cpp.
#pragma once

#include <string>
#include <vector>

const std::vector<std::string> &fuzz_words();
