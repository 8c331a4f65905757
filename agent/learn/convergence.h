// SPDX-License-Identifier: Apache-2.0
//
// When the policy has settled: consecutive tables of rows hardly differ and the
// critic explains as much as before, for so many versions on end. Then rows are
// published less often; learning goes on. Pure; one thread.
//
//   enters  after `publishes` versions with KL < kl, explained variance within
//           0.1 and mean tasks present within a factor of 2 of where the run began
//   leaves  with the first version with KL >= 4 kl, or one of the other two out
//           of twice that band: a load that changes is seen in the tasks present
//           before rows have followed
//
// It leaves later than it enters because rows that are published less often
// differ more from one version to the next.
#pragma once

namespace tactus::learn {

class convergence {
public:
	convergence(double kl, int publishes) : kl_(kl), publishes_(publishes) {}

	// One more version: mean KL to the one before in nats, the critic's explained
	// variance, mean weighted tasks present (0: not known). True while settled.
	bool publish(double kl, double explained_variance, double tasks_present);

	bool settled() const { return settled_; }
	int steady_publishes() const { return steady_; } // on end, until now

private:
	double kl_;
	int publishes_;
	int steady_ = 0;
	bool settled_ = false;
	double variance_ = 0, tasks_ = 0; // where the steady run began
};

} // namespace tactus::learn
