// SPDX-License-Identifier: Apache-2.0
//
// Writing and reading of checkpoints: see checkpoint.h.
#include "checkpoint.h"

#include "config.h"

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
constexpr std::uint32_t k_schema = 2; // layout of the file, the network and its inputs

struct header {
	std::uint64_t magic;
	std::uint32_t schema;
	std::uint32_t header_bytes;
	std::uint32_t nr_blocks;
	std::uint32_t nr_weights;
	std::uint64_t shape; // of the blocks' rows and columns
	std::uint64_t file_bytes;
	std::uint64_t decisions_trained, updates, updates_of_advantage;
	double mean_square_advantage;
};
static_assert(sizeof(header) == 72);

// FNV-1a: each step is invertible, so every single flipped byte changes it.
std::uint64_t fnv(void const* data, std::size_t bytes, std::uint64_t hash = 0xcbf29ce484222325ull)
{
	auto const* p = static_cast<unsigned char const*>(data);
	for (std::size_t i = 0; i < bytes; ++i)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

std::uint64_t shape()
{
	std::uint64_t hash = fnv(nullptr, 0);
	for (block const& b : k_blocks) {
		hash = fnv(&b.rows, sizeof b.rows, hash);
		hash = fnv(&b.cols, sizeof b.cols, hash);
	}
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

} // namespace

void write_checkpoint(std::string const& path, checkpoint const& c)
{
	header h{};
	h.magic = k_magic;
	h.schema = k_schema;
	h.header_bytes = sizeof(header);
	h.nr_blocks = k_nr_blocks;
	h.nr_weights = k_nr_weights;
	h.shape = shape();
	h.file_bytes = sizeof(header) + 3 * sizeof(float) * k_nr_weights + sizeof(std::uint64_t);
	h.decisions_trained = c.decisions_trained;
	h.updates = c.updates;
	h.updates_of_advantage = c.updates_of_advantage;
	h.mean_square_advantage = c.mean_square_advantage;

	std::string data(reinterpret_cast<char const*>(&h), sizeof h);
	for (auto const* v : {&c.theta, &c.squares, &c.prior})
		data.append(reinterpret_cast<char const*>(v->data()), sizeof(float) * k_nr_weights);
	std::uint64_t const sum = fnv(data.data(), data.size());
	data.append(reinterpret_cast<char const*>(&sum), sizeof sum);

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
	constexpr std::size_t expected = sizeof(header) + 3 * sizeof(float) * k_nr_weights + sizeof(std::uint64_t);
	std::string data(std::min<std::size_t>(std::size_t(st.st_size), expected + 1), '\0');
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

	std::string const remedy = "; remove it, the agent then starts from the fallback's clone";
	header h{};
	if (data.size() < sizeof h)
		refuse(checkpoint_fault::truncated, path, "is cut short (" + std::to_string(data.size()) + " bytes)" + remedy);
	std::memcpy(&h, data.data(), sizeof h);
	if (h.magic != k_magic)
		refuse(checkpoint_fault::schema, path, "is not a Tactus checkpoint" + remedy);
	if (h.schema != k_schema || h.header_bytes != sizeof h || h.nr_blocks != k_nr_blocks ||
	    h.nr_weights != k_nr_weights || h.shape != shape())
		refuse(checkpoint_fault::schema, path,
		       "is of another version (schema " + std::to_string(h.schema) + ", " + std::to_string(h.nr_weights) +
			       " weights; this agent has schema " + std::to_string(k_schema) + ", " +
			       std::to_string(k_nr_weights) + " weights)" + remedy);
	if (data.size() != expected || h.file_bytes != expected)
		refuse(checkpoint_fault::truncated, path,
		       "has " + std::to_string(st.st_size) + " bytes and should have " + std::to_string(expected) + remedy);
	std::uint64_t sum;
	std::memcpy(&sum, data.data() + expected - sizeof sum, sizeof sum);
	if (sum != fnv(data.data(), expected - sizeof sum))
		refuse(checkpoint_fault::checksum, path, "is damaged (checksum differs)" + remedy);

	checkpoint c;
	char const* at = data.data() + sizeof h;
	for (auto* v : {&c.theta, &c.squares, &c.prior}) {
		v->resize(k_nr_weights);
		std::memcpy(v->data(), at, sizeof(float) * k_nr_weights);
		at += sizeof(float) * k_nr_weights;
	}
	for (auto const* v : {&c.theta, &c.squares, &c.prior})
		for (float x : *v)
			if (!std::isfinite(x) || (v == &c.squares && x < 0))
				refuse(checkpoint_fault::not_finite, path, "holds weights that are not numbers" + remedy);
	if (!std::isfinite(h.mean_square_advantage) || h.mean_square_advantage < 0)
		refuse(checkpoint_fault::not_finite, path, "holds means that are not numbers" + remedy);
	c.decisions_trained = h.decisions_trained;
	c.updates = h.updates;
	c.updates_of_advantage = h.updates_of_advantage;
	c.mean_square_advantage = h.mean_square_advantage;
	return c;
}

} // namespace tactus::learn
