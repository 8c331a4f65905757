// SPDX-License-Identifier: Apache-2.0
//
// Eight learners on shared weights while everything else of a learner set is used: for the thread
// sanitizer, and that nothing is lost or broken. And learning that stands still when told.
#include "systems.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <random>
#include <thread>
#include <unistd.h>

using namespace tactus::learn;
using namespace tactus::learn::test;

TEST_CASE("eight learners, four domains, rows, figures, checkpoints and the champion at the same time")
{
	learner_config config;
	config.clone_steps = 10;
	config.held_out = 0.1;
	learner_set learner(config);
	learner.start(8);
	rows_of(learner, fast_and_slow());

	constexpr int k_domains = 4, k_decisions = 3000;
	std::vector<std::jthread> readers;
	for (int domain = 0; domain < k_domains; ++domain)
		readers.emplace_back([&learner, domain] {
			std::mt19937_64 random(std::uint64_t(domain) + 1);
			decision d;
			d.domain = std::uint8_t(domain);
			for (int i = 0; i < k_decisions; ++i) {
				d.sequence = std::uint64_t(i);
				d.time_ns += 1000 + random() % 1000;
				d.area += 3000 + random() % 3000;
				d.legal = 3;
				d.version = 1;
				d.prob_num = 1, d.prob_den = 2;
				d.slot = 1;
				d.situation = std::uint8_t(random() % TACTUS_NR_SITUATIONS);
				d.chosen = std::uint8_t(random() % 2);
				d.hold_legal = true;
				learner.submit(d);
			}
		});
	std::string const file = (std::filesystem::temp_directory_path() / ("tactus-eight-" + std::to_string(getpid()))).string();
	for (std::uint32_t version = 2; version < 12; ++version) {
		rows_of(learner, fast_and_slow(), version);
		learner.save(file);
		learner.set_champion();
		CHECK(learner.validate().finite);
		if (version == 6)
			learner.restore_champion();
		if (version == 9)
			learner.load_champion(file);
	}
	readers.clear();
	for (int i = 0; i < 400 && learner.stats().updates == 0; ++i)
		std::this_thread::sleep_for(std::chrono::milliseconds(5));
	learner.set_learning(false); // waits for the learners
	auto const s = learner.stats();
	CHECK(s.decisions_seen == k_domains * k_decisions);
	CHECK(s.updates > 0);
	CHECK(s.bad_updates == 0);
	CHECK(s.sequence_gaps == 0);
	for (layer_change const& l : s.layers)
		CHECK(std::isfinite(l.norm));
	learner.stop();
	std::filesystem::remove(file);
}

TEST_CASE("learning stands still when told, with threads too, and goes on afterwards")
{
	for (int threads : {0, 2}) {
		learner_config config;
		config.clone_steps = 20;
		learner_set learner(config);
		learner.start(threads);
		closed_loop loop(fast_and_slow(), learner, 1);
		auto const inputs = fast_and_slow().inputs(1);
		loop.publish();
		auto run = [&] {
			loop.run_decisions(2000);
			for (int i = 0; i < 200 && threads && learner.learning() && learner.stats().updates == 0; ++i)
				std::this_thread::sleep_for(std::chrono::milliseconds(5));
		};
		run();
		CHECK(learner.stats().updates > 0);
		learner.set_learning(false);
		auto const before = learner.distribution(*inputs, 1, 2);
		auto const updates = learner.stats().updates;
		auto const eta = learner.stats().eta;
		run();
		CHECK(learner.stats().updates == updates);
		CHECK(learner.stats().eta == eta);
		CHECK(learner.distribution(*inputs, 1, 2) == before);
		learner.set_learning(true);
		run();
		for (int i = 0; i < 400 && learner.stats().updates == updates; ++i)
			std::this_thread::sleep_for(std::chrono::milliseconds(5));
		CHECK(learner.stats().updates > updates);
		CHECK(learner.stats().sequence_gaps == 0);
		learner.stop();
	}
}
