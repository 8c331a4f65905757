// SPDX-License-Identifier: Apache-2.0
//
// Giving up rights, and the limits the agent puts on itself. Called from main before any thread
// is started. Relies on being root for run_as only.
#pragma once

#include <cstddef>
#include <string>

namespace tactus::agent {

// Becomes that user with its groups, drops every capability from every set, sets no_new_privs.
// For somebody who is not root: only checks that he already is that user, drops what is left.
// Throws std::runtime_error with the next step.
void run_as(const std::string& user);

// Without changing the user: no capability is left in any set, no_new_privs is set.
// Root keeps its uid and with it file permission. Throws std::runtime_error.
void drop_capabilities();

// Best effort; returns what did not work, empty when all did. Nothing is fatal here.
// While root: raises the memory lock limit so that the dropped process can still lock.
void raise_memlock_limit();
std::string lock_memory();
std::string raise_file_limit();

// Private writable memory of this process is bounded; allocation fails beyond it.
std::string limit_memory(std::size_t mebibytes);

// This thread (and those it starts) runs nicer than the rest of the process.
void nice_this_thread(int value);

}  // namespace tactus::agent
