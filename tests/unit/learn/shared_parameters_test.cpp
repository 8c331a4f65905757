// SPDX-License-Identifier: Apache-2.0
//
// The shared RMSProp against its plain formula.
#include "agent/learn/shared_parameters.h"

#include <doctest/doctest.h>
#include <random>

using namespace tactus::learn;

TEST_CASE("RMSProp is its formula, also for weights whose gradient is 0 or that are the last few")
{
	std::mt19937 random(3);
	std::normal_distribution<float> normal;
	weights<float> start, theta, squares;
	initial_weights(5, start.data());
	weights<double> expected = start.cast<double>(), g = weights<double>::Zero();
	shared_parameters shared;
	shared.set(start.data(), nullptr);
	double const rate = 1e-2, decay = 0.9, epsilon = 1e-4;
	for (int t = 1; t <= 20; ++t) {
		weights<float> d;
		for (int i = 0; i < k_nr_weights; ++i)
			d[i] = (i / k_trunk + t) % 3 && (i / 7 + t) % 5 ? normal(random) : 0; // whole columns and parts
		shared.apply(d.data(), rate, decay, epsilon);
		for (int i = 0; i < k_nr_weights; ++i) {
			double const di = double(d[i]);
			g[i] = decay * g[i] + (1 - decay) * di * di;
			expected[i] -= rate * di / std::sqrt(g[i] / (1 - std::pow(decay, t)) + epsilon);
		}
	}
	shared.snapshot(theta.data());
	shared.snapshot_squares(squares.data());
	CHECK((theta.cast<double>() - expected).cwiseAbs().maxCoeff() < 1e-5);
	CHECK((squares.cast<double>() - g).cwiseAbs().maxCoeff() < 1e-5 * g.maxCoeff());
	CHECK((theta - start).cwiseAbs().minCoeff() > 0); // every weight was stepped
}

TEST_CASE("the mean square of a gradient that stays 0 ends at 0 and not among the denormal numbers")
{
	weights<float> theta = weights<float>::Zero(), d = weights<float>::Zero(), squares;
	shared_parameters shared;
	shared.set(theta.data(), nullptr);
	d.head(k_trunk).setConstant(1e-10f);
	shared.apply(d.data(), 1e-3, 0.99, 1e-5);
	shared.snapshot_squares(squares.data());
	CHECK(squares.head(k_trunk).minCoeff() > 0);
	d.setZero();
	for (int t = 0; t < 5000; ++t)
		shared.apply(d.data(), 1e-3, 0.99, 1e-5);
	shared.snapshot_squares(squares.data());
	CHECK(squares == weights<float>::Zero());
}
