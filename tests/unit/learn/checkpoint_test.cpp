// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints: bit-exact round trip; whatever is damaged is refused, says why,
// and changes nothing.
#include "agent/learn/checkpoint.h"
#include "systems.h"

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <limits>
#include <unistd.h>

using namespace tactus::learn;
using namespace tactus::learn::test;

namespace {

struct folder {
	folder()
	{
		std::string pattern = (std::filesystem::temp_directory_path() / "tactus-checkpoint-XXXXXX").string();
		REQUIRE(mkdtemp(pattern.data()));
		path = pattern;
	}
	~folder() { std::filesystem::remove_all(path); }
	std::string file(char const* name) const { return (path / name).string(); }
	std::filesystem::path path;
};

std::string bytes_of(std::string const& path)
{
	std::ifstream in(path, std::ios::binary);
	return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(std::string const& path, std::string const& data)
{
	std::ofstream(path, std::ios::binary | std::ios::trunc) << data;
}

checkpoint_fault fault_of(std::string const& path)
{
	try {
		read_checkpoint(path);
	} catch (checkpoint_error const& e) {
		CHECK(std::string(e.what()).find(path) != std::string::npos);
		return e.fault();
	}
	FAIL("a damaged checkpoint was accepted");
	return checkpoint_fault::io;
}

learner_config quick()
{
	learner_config c;
	c.clone_steps = 20;
	return c;
}

void train(learner_set& learner, std::uint64_t decisions, std::uint64_t seed)
{
	closed_loop loop(fast_and_slow(), learner, seed);
	loop.publish();
	loop.run_decisions(decisions);
}

} // namespace

TEST_CASE("a checkpoint comes back bit for bit, and learning goes on from it as without a break")
{
	folder dir;
	learner_set a(quick());
	train(a, 2000, 1);
	a.save(dir.file("a"));
	learner_config other = quick();
	other.seed = 99;
	learner_set b(other);
	b.load(dir.file("a"));
	b.save(dir.file("b"));
	CHECK(bytes_of(dir.file("a")) == bytes_of(dir.file("b")));
	CHECK(b.stats().decisions_trained == a.stats().decisions_trained);
	a.set_learning(false), a.set_learning(true); // both begin a new segment
	learner_set c(quick());
	c.load(dir.file("a"));
	train(b, 2000, 2);
	train(c, 2000, 2);
	b.save(dir.file("b"));
	c.save(dir.file("c"));
	CHECK(bytes_of(dir.file("b")) == bytes_of(dir.file("c")));
	CHECK(bytes_of(dir.file("b")) != bytes_of(dir.file("a")));
	CHECK_FALSE(std::filesystem::exists(dir.file("a.new")));
}

TEST_CASE("a checkpoint cut anywhere, longer, or with any byte changed in any way is refused with the reason")
{
	// A network of five weights, so that every cut and every change can be tried.
	checkpoint_layout const small{2, 5, 77};
	checkpoint c;
	c.theta = {1, -2, 3, -4, 5}, c.squares = {1, 2, 3, 4, 5}, c.prior = {5, 4, 3, 2, 1};
	c.decisions_trained = 1234, c.updates = 99, c.mean_square_advantage = 0.5, c.machine = 42, c.frozen_updates = 7;
	std::string const good = encode_checkpoint(c, small);
	auto fault = [&](std::string const& data) {
		try {
			decode_checkpoint(data, "the file", small);
		} catch (checkpoint_error const& e) {
			CHECK(std::string(e.what()).starts_with("checkpoint the file: "));
			return e.fault();
		}
		FAIL("a damaged checkpoint was accepted");
		return checkpoint_fault::io;
	};
	checkpoint const back = decode_checkpoint(good, "the file", small);
	CHECK(back.theta == c.theta);
	CHECK(back.squares == c.squares);
	CHECK(back.prior == c.prior);
	CHECK(back.machine == 42);
	CHECK(back.frozen_updates == 7);

	for (std::size_t n = 0; n < good.size(); ++n)
		REQUIRE(fault(good.substr(0, n)) == checkpoint_fault::truncated);
	CHECK(fault(good + "x") == checkpoint_fault::truncated);
	int by_checksum = 0;
	for (std::size_t at = 0; at < good.size(); ++at)
		for (int flip = 1; flip < 256; ++flip) {
			std::string changed = good;
			changed[at] = char(changed[at] ^ flip);
			auto const f = fault(changed);
			by_checksum += f == checkpoint_fault::checksum;
			REQUIRE((f == checkpoint_fault::checksum || f == checkpoint_fault::schema || f == checkpoint_fault::truncated));
		}
	CHECK(by_checksum > 255 * 60); // all of the weights
	CHECK(fault(encode_checkpoint(c, {2, 5, 78})) == checkpoint_fault::schema);
	CHECK(fault(encode_checkpoint(c, {3, 5, 77})) == checkpoint_fault::schema);
}

TEST_CASE("the file on disk is judged as its bytes are")
{
	folder dir;
	learner_set learner(quick());
	train(learner, 500, 1);
	learner.save(dir.file("good"));
	std::string const good = bytes_of(dir.file("good"));
	std::string const bad = dir.file("bad");
	for (std::size_t n = 0; n < good.size(); n += 4999) {
		write_bytes(bad, good.substr(0, n));
		CHECK(fault_of(bad) == checkpoint_fault::truncated);
		std::string changed = good;
		changed[n] = char(changed[n] ^ 1);
		write_bytes(bad, changed);
		auto const fault = fault_of(bad);
		CHECK((fault == checkpoint_fault::checksum || fault == checkpoint_fault::schema));
	}
	write_bytes(bad, good + "x");
	CHECK(fault_of(bad) == checkpoint_fault::truncated);
}

TEST_CASE("the start model, written before checkpoints knew machines, is read as of none")
{
	checkpoint const c = read_checkpoint(TACTUS_START_MODEL);
	CHECK(c.machine == 0);
	CHECK(c.frozen_updates == 0);
	learner_config config = quick();
	config.machine = 5;
	learner_set learner(config);
	learner.load(TACTUS_START_MODEL);
	CHECK(learner.stats().frozen_updates == 0); // a start for any machine learns at once
}

TEST_CASE("other files, other schemas, weights that are no numbers: each its own fault")
{
	folder dir;
	CHECK(fault_of(dir.file("none")) == checkpoint_fault::missing);
	CHECK(fault_of(dir.path.string()) == checkpoint_fault::io);
	write_bytes(dir.file("text"), std::string(5000, 'x'));
	CHECK(fault_of(dir.file("text")) == checkpoint_fault::schema);

	checkpoint c;
	c.theta.assign(k_nr_weights, 0.5f);
	c.squares.assign(k_nr_weights, 0.1f);
	c.prior.assign(k_nr_weights, 0.25f);
	write_checkpoint(dir.file("c"), c);
	CHECK(read_checkpoint(dir.file("c")).theta == c.theta);
	c.theta[77] = std::numeric_limits<float>::quiet_NaN();
	CHECK_THROWS_AS(write_checkpoint(dir.file("c"), c), checkpoint_error);
	CHECK(read_checkpoint(dir.file("c")).theta[77] == 0.5f); // what was there is not replaced
	write_bytes(dir.file("nan"), encode_checkpoint(c));
	CHECK(fault_of(dir.file("nan")) == checkpoint_fault::not_finite);
	c.theta[77] = 0;
	c.squares[5] = -1;
	write_bytes(dir.file("negative"), encode_checkpoint(c));
	CHECK(fault_of(dir.file("negative")) == checkpoint_fault::not_finite);

	std::string other = bytes_of(dir.file("c"));
	other[8] = 99; // schema
	write_bytes(dir.file("schema"), other);
	CHECK(fault_of(dir.file("schema")) == checkpoint_fault::schema);

	CHECK_THROWS_AS(write_checkpoint(dir.file("no/such/folder"), c), checkpoint_error);
}

TEST_CASE("a refused checkpoint leaves the learner as it was")
{
	folder dir;
	learner_set learner(quick());
	train(learner, 500, 1);
	learner.save(dir.file("good"));
	std::string data = bytes_of(dir.file("good"));
	data[1000] = char(data[1000] ^ 1);
	write_bytes(dir.file("bad"), data);
	CHECK_THROWS_AS(learner.load(dir.file("bad")), checkpoint_error);
	learner.save(dir.file("after"));
	CHECK(bytes_of(dir.file("good")) == bytes_of(dir.file("after")));
}

TEST_CASE("weights learned with layer normalisation are refused without it, and the other way round")
{
	folder dir;
	learner_config off = quick(), on = quick();
	on.layer_norm = 1;
	learner_set with(on), without(off);
	with.save(dir.file("on"));
	without.save(dir.file("off"));
	CHECK(read_checkpoint(dir.file("on")).layer_norm);
	CHECK_FALSE(read_checkpoint(dir.file("off")).layer_norm);
	auto refused = [&](learner_set& learner, std::string const& path) {
		for (bool champion : {false, true}) {
			try {
				champion ? learner.load_champion(path) : learner.load(path);
				FAIL("accepted: " << path);
			} catch (checkpoint_error const& e) {
				CHECK(e.fault() == checkpoint_fault::schema);
				CHECK(std::string(e.what()).find(path) != std::string::npos);
				CHECK(std::string(e.what()).find("layer_norm") != std::string::npos);
			}
		}
	};
	refused(without, dir.file("on"));
	refused(with, dir.file("off"));
	refused(with, TACTUS_START_MODEL);
	with.save(dir.file("after"));
	CHECK(bytes_of(dir.file("after")) == bytes_of(dir.file("on"))); // nothing changed
	on.seed = off.seed = 99;
	learner_set with_too(on), without_too(off);
	with_too.load(dir.file("on"));
	with_too.load_champion(dir.file("on"));
	without_too.load(dir.file("off"));
	with_too.save(dir.file("after"));
	CHECK(bytes_of(dir.file("after")) == bytes_of(dir.file("on")));
	without_too.save(dir.file("after"));
	CHECK(bytes_of(dir.file("after")) == bytes_of(dir.file("off")));
}

TEST_CASE("a course that begins anew keeps the policy, makes it the prior, and starts the schedules over")
{
	folder dir;
	learner_set learner(quick());
	train(learner, 2000, 1);
	learner.set_learning(false);
	double const rate_before = learner.stats().learning_rate;
	learner.save(dir.file("end"));
	learner.begin_course();
	learner.save(dir.file("start"));
	checkpoint const end = read_checkpoint(dir.file("end")), start = read_checkpoint(dir.file("start"));
	CHECK(start.theta == end.theta);
	CHECK(start.prior == end.theta);
	CHECK(end.prior != end.theta);
	CHECK(start.decisions_trained == 0);
	CHECK(learner.stats().learning_rate > rate_before);
}
