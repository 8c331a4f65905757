// SPDX-License-Identifier: Apache-2.0
//
// The parts of the step against their plain definitions.
#include "agent/learn/step.h"

#include <cmath>
#include <doctest/doctest.h>
#include <random>

using namespace tactus::learn;

namespace {

struct random_targets {
	explicit random_targets(std::uint64_t seed, int n)
	{
		std::mt19937_64 random(seed);
		std::uniform_real_distribution<double> uniform;
		for (int k = 0; k < n; ++k) {
			double const rho = 2 * uniform(random);
			r.push_back(uniform(random) - 0.5);
			g.push_back(0.7 + 0.3 * uniform(random));
			rho_bar.push_back(std::min(1.0, rho));
			c.push_back(0.9 * std::min(1.0, rho));
		}
		for (int k = 0; k <= n; ++k)
			value.push_back(2 * uniform(random) - 1);
		v.resize(std::size_t(n));
		a.resize(std::size_t(n));
	}
	std::vector<double> r, g, rho_bar, c, value, v, a;
};

double entropy_of(std::vector<double> const& s)
{
	double h = 0;
	for (double p : s)
		h -= p > 0 ? p * std::log(p) : 0;
	return h;
}

} // namespace

TEST_CASE("V-trace by one backward pass equals its definition as a double sum")
{
	for (int n : {1, 2, 7, 32}) {
		random_targets t(std::uint64_t(n), n);
		vtrace(t.r, t.g, t.rho_bar, t.c, t.value, t.v, t.a);
		std::vector<double> v(std::size_t(n) + 1);
		v[n] = t.value[n];
		for (int s = 0; s < n; ++s) {
			double sum = t.value[s];
			for (int k = s; k < n; ++k) {
				double product = 1;
				for (int i = s; i < k; ++i)
					product *= t.g[i] * t.c[i];
				sum += product * t.rho_bar[k] * (t.r[k] + t.g[k] * t.value[k + 1] - t.value[k]);
			}
			v[s] = sum;
		}
		for (int s = 0; s < n; ++s) {
			CHECK(t.v[s] == doctest::Approx(v[s]).epsilon(1e-12));
			CHECK(t.a[s] == doctest::Approx(t.rho_bar[s] * (t.r[s] + t.g[s] * v[s + 1] - t.value[s])).epsilon(1e-12));
		}
	}
}

TEST_CASE("V-trace with ratios 1 and trace factor 1 is the n-step return")
{
	int const n = 9;
	random_targets t(3, n);
	std::fill(t.rho_bar.begin(), t.rho_bar.end(), 1.0);
	std::fill(t.c.begin(), t.c.end(), 1.0);
	vtrace(t.r, t.g, t.rho_bar, t.c, t.value, t.v, t.a);
	double target = t.value[n];
	for (int k = n; k-- > 0;) {
		target = t.r[k] + t.g[k] * target;
		CHECK(t.v[k] == doctest::Approx(target).epsilon(1e-12));
		CHECK(t.a[k] == doctest::Approx(target - t.value[k]).epsilon(1e-12));
	}
}

TEST_CASE("GAE is the discounted sum of the one-step errors")
{
	int const n = 12;
	random_targets t(5, n);
	double const lambda = 0.9;
	std::fill(t.rho_bar.begin(), t.rho_bar.end(), 1.0);
	std::fill(t.c.begin(), t.c.end(), lambda);
	vtrace(t.r, t.g, t.rho_bar, t.c, t.value, t.v, t.a);
	for (int s = 0; s < n; ++s) {
		double sum = 0, product = 1;
		for (int k = s; k < n; ++k) {
			sum += product * (t.r[k] + t.g[k] * t.value[k + 1] - t.value[k]);
			product *= lambda * t.g[k];
		}
		CHECK(t.v[s] - t.value[s] == doctest::Approx(sum).epsilon(1e-12)); // what target = gae takes as A
	}
}

TEST_CASE("the masked softmax has no mass and no gradient on illegal actions, and sums to 1")
{
	std::vector<double> const z{1000, -3, 0.5, 2, -1000};
	std::vector<std::uint8_t> const legal{0, 1, 1, 1, 0};
	std::vector<double> s(5), d(5, 0), prior{0, 0.2, 0.3, 0.5, 0};
	masked_softmax<double>(z, legal, s);
	CHECK(s[0] == 0);
	CHECK(s[4] == 0);
	CHECK(s[1] + s[2] + s[3] == doctest::Approx(1).epsilon(1e-14));
	policy_gradient<double>(s, prior, legal, 2, 1.5, 0.97, 0.1, 0.2, d);
	CHECK(d[0] == 0);
	CHECK(d[4] == 0);
	CHECK(d[2] != 0);

	std::vector<std::uint8_t> const none(5, 0);
	masked_softmax<double>(z, none, s);
	for (double p : s)
		CHECK(p == 0);
}

TEST_CASE("the policy gradient is the derivative of its terms")
{
	std::vector<double> z{0.3, -1, 0.5, 2};
	std::vector<std::uint8_t> const legal{1, 1, 0, 1};
	std::vector<double> const prior{0.5, 0.1, 0, 0.4};
	double const advantage = -0.8, keep = 0.93, floor = 0.07 / 3, h = 0.3, kappa = 0.6;
	int const action = 3;
	auto loss = [&] {
		std::vector<double> s(4);
		masked_softmax<double>(z, legal, s);
		double kl = 0;
		for (int i = 0; i < 4; ++i)
			kl += prior[i] > 0 ? prior[i] * std::log(prior[i] / s[i]) : 0;
		return -advantage * std::log(keep * s[action] + floor) - h * entropy_of(s) + kappa * kl;
	};
	std::vector<double> s(4), d(4, 0);
	masked_softmax<double>(z, legal, s);
	double const share = keep * s[action] / (keep * s[action] + floor);
	policy_gradient<double>(s, prior, legal, action, advantage, share, h, kappa, d);
	for (int i = 0; i < 4; ++i) {
		double const keep = z[i];
		z[i] = keep + 1e-6;
		double const up = loss();
		z[i] = keep - 1e-6;
		double const down = loss();
		z[i] = keep;
		CHECK(d[i] == doctest::Approx((up - down) / 2e-6).epsilon(1e-6));
	}
}

TEST_CASE("centring: a constant cost rate gives no reward, a dearer interval a negative one")
{
	centring m(1e-2);
	for (int i = 0; i < 50; ++i)
		m.reward(2.0 * (1 + i % 3) * 1e6, (1 + i % 3) * 1e6, 20);
	CHECK(m.eta() == doctest::Approx(2).epsilon(1e-9));
	CHECK(std::abs(m.reward(4e6, 2e6, 20)) < 1e-6);
	centring noisy(1e-2);
	for (int i = 0; i < 400; ++i)
		noisy.reward((i % 2 ? 1.0 : 3.0) * 1e6, 1e6, 20);
	CHECK(noisy.reward(3e6, 1e6, 20) == doctest::Approx(-1).epsilon(0.1)); // one RMS above the mean
	CHECK(noisy.reward(1e12, 1e6, 5) == -5);			      // clipped
}
