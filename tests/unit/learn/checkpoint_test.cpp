// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints: bit-exact round trip; whatever is damaged is refused, says why,
// and changes nothing.
#include "agent/learn/checkpoint.h"
#include "queue_sim.h"

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

void train(learner_set& learner, int steps, std::uint64_t seed)
{
	queue_sim sim({1, 0.25}, {{6e-6, 1e5, 1}}, seed);
	row_bank bank;
	learner.compile(sim.inputs(1), bank);
	for (int i = 0; i < steps; ++i)
		sim.step(chooser::rows, &bank, 1, &learner);
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

TEST_CASE("a checkpoint cut anywhere, longer, or with any byte changed is refused")
{
	folder dir;
	learner_set learner(quick());
	train(learner, 500, 1);
	learner.save(dir.file("good"));
	std::string const good = bytes_of(dir.file("good"));
	std::string const bad = dir.file("bad");

	std::size_t const header = 72;
	for (std::size_t n = 0; n < good.size(); n += n < 2 * header ? 1 : 997) {
		write_bytes(bad, good.substr(0, n));
		CHECK(fault_of(bad) == checkpoint_fault::truncated);
	}
	write_bytes(bad, good.substr(0, good.size() - 1));
	CHECK(fault_of(bad) == checkpoint_fault::truncated);
	write_bytes(bad, good + "x");
	CHECK(fault_of(bad) == checkpoint_fault::truncated);

	for (std::size_t at = 0; at < good.size(); at += at < 2 * header || at + 16 > good.size() ? 1 : 499)
		for (int bit : {0, 7}) {
			std::string changed = good;
			changed[at] = char(changed[at] ^ (1 << bit));
			write_bytes(bad, changed);
			auto const fault = fault_of(bad);
			CHECK((fault == checkpoint_fault::checksum || fault == checkpoint_fault::schema ||
			       fault == checkpoint_fault::truncated));
		}
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
	write_checkpoint(dir.file("nan"), c);
	CHECK(fault_of(dir.file("nan")) == checkpoint_fault::not_finite);
	c.theta[77] = 0;
	c.squares[5] = -1;
	write_checkpoint(dir.file("negative"), c);
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
