// SPDX-License-Identifier: Apache-2.0
//
// Writing and reading of checkpoints: see checkpoint.h.
#include "checkpoint.h"

#include "config.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace tactus::learn {
namespace {

static_assert(std::endian::native == std::endian::little, "checkpoints are written as memory lies");

constexpr std::uint64_t k_magic = 0x4b504354'55544354ull;
// Layout of the file, the network and its inputs.
constexpr std::uint32_t k_schema = 3, k_schema_without_machine = 2;

struct header {
	std::uint64_t magic;
	std::uint32_t schema;
	std::uint32_t header_bytes;
	std::uint32_t nr_blocks;
	std::uint32_t nr_weights;
	std::uint64_t shape;
	std::uint64_t file_bytes;
	std::uint64_t decisions_trained, updates, updates_of_advantage;
	double mean_square_advantage;
	std::uint64_t machine, frozen_updates; // from schema 3 on
};
static_assert(sizeof(header) == 88);
constexpr std::size_t k_short_header = 72; // of schema 2

// FNV-1a: each step is invertible, so every single flipped byte changes it.
std::uint64_t fnv(void const* data, std::size_t bytes, std::uint64_t hash = 0xcbf29ce484222325ull)
{
	auto const* p = static_cast<unsigned char const*>(data);
	for (std::size_t i = 0; i < bytes; ++i)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

[[noreturn]] void refuse(checkpoint_fault fault, std::string const& path, std::string const& why)
{
	throw checkpoint_error(fault, "checkpoint " + path + ": " + why);
}

struct file {
	int fd;
	~file()
	{
		if (fd >= 0)
			close(fd);
	}
};

void write_all(int fd, std::string const& data, std::string const& path)
{
	for (std::size_t done = 0; done < data.size();) {
		ssize_t const n = write(fd, data.data() + done, data.size() - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			refuse(checkpoint_fault::io, path, std::string("cannot be written (") + std::strerror(errno) + ")");
		done += std::size_t(n);
	}
}

bool all_numbers(checkpoint const& c)
{
	auto const finite = [](float x) { return std::isfinite(x); };
	return std::ranges::all_of(c.theta, finite) && std::ranges::all_of(c.prior, finite) &&
	       std::ranges::all_of(c.squares, [](float x) { return std::isfinite(x) && x >= 0; });
}

} // namespace

checkpoint_layout network_layout()
{
	std::uint64_t shape = fnv(nullptr, 0);
	for (block const& b : k_blocks) {
		shape = fnv(&b.rows, sizeof b.rows, shape);
		shape = fnv(&b.cols, sizeof b.cols, shape);
	}
	return {k_nr_blocks, k_nr_weights, shape};
}

std::uint64_t checkpoint_layout::shape_of(bool layer_norm) const
{
	return layer_norm ? fnv(&layer_norm, sizeof layer_norm, shape) : shape;
}

std::string encode_checkpoint(checkpoint const& c, checkpoint_layout const& layout)
{
	std::size_t const vector_bytes = sizeof(float) * layout.nr_weights;
	header h{};
	h.magic = k_magic;
	h.schema = k_schema;
	h.header_bytes = sizeof(header);
	h.nr_blocks = layout.nr_blocks;
	h.nr_weights = layout.nr_weights;
	h.shape = layout.shape_of(c.layer_norm);
	h.file_bytes = sizeof(header) + 3 * vector_bytes + sizeof(std::uint64_t);
	h.decisions_trained = c.decisions_trained;
	h.updates = c.updates;
	h.updates_of_advantage = c.updates_of_advantage;
	h.mean_square_advantage = c.mean_square_advantage;
	h.machine = c.machine;
	h.frozen_updates = c.frozen_updates;

	std::string data(reinterpret_cast<char const*>(&h), sizeof h);
	for (auto const* v : {&c.theta, &c.squares, &c.prior})
		data.append(reinterpret_cast<char const*>(v->data()), vector_bytes);
	std::uint64_t const sum = fnv(data.data(), data.size());
	data.append(reinterpret_cast<char const*>(&sum), sizeof sum);
	return data;
}

checkpoint decode_checkpoint(std::string_view data, std::string const& name, checkpoint_layout const& layout)
{
	std::string const remedy = "; take an older one, or go on without";
	auto const bytes = [](std::size_t n) { return std::to_string(n) + " bytes"; };
	header h{};
	if (data.size() < k_short_header)
		refuse(checkpoint_fault::truncated, name, "is cut short (" + bytes(data.size()) + ")" + remedy);
	std::memcpy(&h, data.data(), k_short_header);
	if (h.magic != k_magic)
		refuse(checkpoint_fault::schema, name, "is not a Tactus checkpoint" + remedy);
	std::size_t const header_bytes = h.schema == k_schema		       ? sizeof(header)
					 : h.schema == k_schema_without_machine ? k_short_header
										: 0;
	if (h.header_bytes != header_bytes || h.nr_blocks != layout.nr_blocks || h.nr_weights != layout.nr_weights ||
	    (h.shape != layout.shape_of(false) && h.shape != layout.shape_of(true)))
		refuse(checkpoint_fault::schema, name,
		       "is of another version (schema " + std::to_string(h.schema) + ", " + std::to_string(h.nr_weights) +
			       " weights; this agent has schema " + std::to_string(k_schema) + ", " +
			       std::to_string(layout.nr_weights) + " weights)" + remedy);
	std::size_t const vector_bytes = sizeof(float) * layout.nr_weights;
	std::size_t const expected = header_bytes + 3 * vector_bytes + sizeof(std::uint64_t);
	if (data.size() != expected || h.file_bytes != expected)
		refuse(checkpoint_fault::truncated, name,
		       "has " + bytes(data.size()) + " and should have " + std::to_string(expected) + remedy);
	std::uint64_t sum;
	std::memcpy(&sum, data.data() + expected - sizeof sum, sizeof sum);
	if (sum != fnv(data.data(), expected - sizeof sum))
		refuse(checkpoint_fault::checksum, name, "is damaged (checksum differs)" + remedy);
	std::memcpy(&h, data.data(), header_bytes);

	checkpoint c;
	char const* at = data.data() + header_bytes;
	for (auto* v : {&c.theta, &c.squares, &c.prior}) {
		v->resize(layout.nr_weights);
		std::memcpy(v->data(), at, vector_bytes);
		at += vector_bytes;
	}
	if (!all_numbers(c))
		refuse(checkpoint_fault::not_finite, name, "holds weights that are not numbers" + remedy);
	if (!std::isfinite(h.mean_square_advantage) || h.mean_square_advantage < 0)
		refuse(checkpoint_fault::not_finite, name, "holds means that are not numbers" + remedy);
	c.decisions_trained = h.decisions_trained;
	c.updates = h.updates;
	c.updates_of_advantage = h.updates_of_advantage;
	c.mean_square_advantage = h.mean_square_advantage;
	c.layer_norm = h.shape == layout.shape_of(true);
	c.machine = h.machine;
	c.frozen_updates = h.frozen_updates;
	return c;
}

void write_checkpoint(std::string const& path, checkpoint const& c)
{
	if (!all_numbers(c))
		refuse(checkpoint_fault::not_finite, path, "is not written: weights are not numbers; the one there stays");
	std::string const data = encode_checkpoint(c);
	std::string const temporary = path + ".new";
	{
		file f{open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640)};
		if (f.fd < 0)
			refuse(checkpoint_fault::io, path, std::string("cannot be created (") + std::strerror(errno) +
								   "); give the agent a folder it may write");
		write_all(f.fd, data, path);
		if (fsync(f.fd))
			refuse(checkpoint_fault::io, path, std::string("cannot be synced (") + std::strerror(errno) + ")");
	}
	if (rename(temporary.c_str(), path.c_str()))
		refuse(checkpoint_fault::io, path, std::string("cannot be replaced (") + std::strerror(errno) + ")");
	auto folder = std::filesystem::path(path).parent_path();
	file f{open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (f.fd >= 0)
		fsync(f.fd); // best effort: the data itself is safe, at worst under the old name
}

checkpoint read_checkpoint(std::string const& path)
{
	file f{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
	if (f.fd < 0)
		refuse(errno == ENOENT ? checkpoint_fault::missing : checkpoint_fault::io, path,
		       std::string("cannot be opened (") + std::strerror(errno) + ")");
	struct stat st;
	if (fstat(f.fd, &st) || !S_ISREG(st.st_mode))
		refuse(checkpoint_fault::io, path, "is not a regular file");
	// One byte more than any checkpoint has is enough to see that it is none.
	std::size_t const longest = sizeof(header) + 3 * sizeof(float) * k_nr_weights + sizeof(std::uint64_t);
	std::string data(std::min<std::size_t>(std::size_t(st.st_size), longest + 1), '\0');
	std::size_t done = 0;
	while (done < data.size()) {
		ssize_t const n = read(f.fd, data.data() + done, data.size() - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			refuse(checkpoint_fault::io, path, std::string("cannot be read (") + std::strerror(errno) + ")");
		if (n == 0)
			break;
		done += std::size_t(n);
	}
	data.resize(done);
	return decode_checkpoint(data, path);
}

} // namespace tactus::learn
