// SPDX-License-Identifier: Apache-2.0
//
// The C interface: every function catches what the C++ one throws and keeps its
// text for the thread.
#include <tactus/tactus.h>
#include <tactus/tactus.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <system_error>

struct tactus_pool {
  tactus::pool pool;
};
struct tactus_class {
  tactus::task_class cls;
};
struct tactus_group {
  tactus::task_group group;
};

namespace {

// Large enough for any message of ours; no allocation, since that may be what failed.
thread_local char t_error[256] = "";

int failed(tactus_result result, const char* text) noexcept {
  std::strncpy(t_error, text, sizeof t_error - 1);
  return result;
}

template <class F>
int guarded(F&& body) noexcept {
  try {
    body();
    return TACTUS_OK;
  } catch (const tactus::pool_stopped& e) {
    return failed(TACTUS_STOPPED, e.what());
  } catch (const std::bad_alloc&) {
    return failed(TACTUS_NO_MEMORY, "out of memory");
  } catch (const std::system_error& e) {
    return failed(TACTUS_NO_MEMORY, e.what());
  } catch (const std::exception& e) {
    return failed(TACTUS_FAILED, e.what());
  } catch (...) {
    return failed(TACTUS_FAILED, "a task ended by an exception that is no std::exception");
  }
}

template <class T, class F>
T* made(F&& make) noexcept {
  T* out = nullptr;
  guarded([&] { out = make(); });
  return out;
}

const tactus::task_class& class_or_default(const tactus_class* cls) {
  static const tactus::task_class k_default("c");
  return cls ? cls->cls : k_default;
}

}  // namespace

int tactus_pool_options_init(tactus_pool_options* options, const char* preset) {
  if (!options) return failed(TACTUS_INVALID, "no options to fill");
  const auto which = tactus::preset_of_name(preset ? preset : "basic");
  if (!which) return failed(TACTUS_INVALID, "no preset of that name; see presets.hpp");
  return guarded([&] {
    const tactus::pool_options o = tactus::options_for(*which);
    *options = {};
    options->size = sizeof *options;
    options->name = "tactus";
    // options_for() leaves rounding to the pool; here it is applied at once.
    options->workers = o.workers ? o.workers : tactus::workers_for(tactus::read_cpu_budget(), o.rounding);
    options->max_workers = o.max_workers;
    options->spares = o.spares;
    options->register_with_agent = o.register_with_agent;
    options->outside_threads_help = o.outside_threads_help;
    options->look_around_ns = o.look_around.count() < 0 ? -1 : o.look_around.count() * 1000;
  });
}

tactus_pool* tactus_pool_create(const tactus_pool_options* options) {
  if (options && options->size < sizeof *options) {
    failed(TACTUS_INVALID, "options were not filled by tactus_pool_options_init()");
    return nullptr;
  }
  return made<tactus_pool>([&] {
    tactus::pool_options o;
    if (options) {
      if (options->name) o.name = options->name;
      o.workers = options->workers;
      o.max_workers = options->max_workers;
      o.spares = options->spares;
      o.register_with_agent = options->register_with_agent != 0;
      o.outside_threads_help = options->outside_threads_help != 0;
      o.look_around = std::chrono::microseconds(options->look_around_ns < 0 ? -1 : options->look_around_ns / 1000);
    }
    return new tactus_pool{tactus::pool(o)};
  });
}

void tactus_pool_destroy(tactus_pool* pool) { delete pool; }

int tactus_pool_shutdown(tactus_pool* pool, tactus_stop stop) {
  try {
    pool->pool.shutdown(stop == TACTUS_CANCEL ? tactus::stop_mode::cancel : tactus::stop_mode::drain);
    return TACTUS_OK;
  } catch (const std::logic_error& e) {
    return failed(TACTUS_INVALID, e.what());
  }
}

unsigned tactus_pool_workers(const tactus_pool* pool) { return pool->pool.workers(); }

unsigned tactus_pool_resize(tactus_pool* pool, unsigned workers) {
  unsigned out = pool->pool.workers();
  guarded([&] { out = pool->pool.resize(workers); });
  return out;
}

void tactus_class_options_init(tactus_class_options* options) {
  *options = {};
  options->size = sizeof *options;
  options->priority = 1;
  options->weight = 1;
  std::fill(std::begin(options->features), std::end(options->features), -1.0f);
}

tactus_class* tactus_class_create(const char* name, int priority, int weight, uint64_t deadline_ns) {
  tactus_class_options options;
  tactus_class_options_init(&options);
  options.priority = priority;
  options.weight = weight;
  options.deadline_ns = deadline_ns;
  return tactus_class_create_with(name, &options);
}

tactus_class* tactus_class_create_with(const char* name, const tactus_class_options* options) {
  if (!name || !options || options->size < sizeof *options) {
    failed(TACTUS_INVALID, "a class needs a name, and options from tactus_class_options_init()");
    return nullptr;
  }
  return made<tactus_class>([&] {
    tactus::class_options o;
    o.priority = options->priority;
    o.weight = options->weight;
    o.deadline = std::chrono::nanoseconds(static_cast<std::int64_t>(std::min<std::uint64_t>(options->deadline_ns, INT64_MAX)));
    if (options->drop_missed) o.missed = tactus::missed_policy::drop;
    for (unsigned f = 0; f < tactus::k_features; ++f)
      if (options->features[f] >= 0) tactus::declare(o.features, static_cast<tactus::feature>(f), options->features[f]);
    return new tactus_class{tactus::task_class(name, o)};
  });
}

void tactus_class_destroy(tactus_class* cls) { delete cls; }

int tactus_submit(tactus_pool* pool, const tactus_class* cls, tactus_function fn, void* context) {
  return guarded([&] { pool->pool.detach(class_or_default(cls), [fn, context] { fn(context); }); });
}

int tactus_submit_after(tactus_pool* pool, const tactus_class* cls, uint64_t delay_ns, tactus_function fn,
                        void* context) {
  return guarded([&] {
    const std::chrono::nanoseconds delay(static_cast<std::int64_t>(std::min<std::uint64_t>(delay_ns, INT64_MAX)));
    tactus::pool& p = pool->pool;
    const tactus::detail::class_entry& entry = tactus::detail::bind_class(p.core(), class_or_default(cls));
    tactus::detail::task* t = tactus::detail::make_task([fn, context] { fn(context); }, tactus::detail::task_kind::detached);
    tactus::detail::enqueue_at(p.core(), t, entry, delay, {});
  });
}

int tactus_parallel_for(tactus_pool* pool, const tactus_class* cls, size_t count, tactus_loop_function fn,
                        void* context) {
  return guarded([&] {
    pool->pool.parallel_for(std::size_t{0}, count, [=](std::size_t from, std::size_t to) { fn(context, from, to); },
                            class_or_default(cls));
  });
}

int tactus_wait(tactus_pool* pool) {
  // What is not allowed is told apart from what a task threw, which may be a logic_error too.
  if (tactus::detail::called_from_task_of(pool->pool.core()))
    return failed(TACTUS_INVALID, "tactus_wait() from a task of the same pool would wait for itself; use a group");
  return guarded([&] { pool->pool.wait(); });
}

tactus_group* tactus_group_create(tactus_pool* pool, const tactus_class* cls) {
  return made<tactus_group>([&] {
    return new tactus_group{tactus::task_group(pool->pool, class_or_default(cls))};
  });
}

int tactus_group_run(tactus_group* group, tactus_function fn, void* context) {
  return guarded([&] { group->group.run([fn, context] { fn(context); }); });
}

int tactus_group_wait(tactus_group* group) {
  return guarded([&] { group->group.wait(); });
}

void tactus_group_destroy(tactus_group* group) { delete group; }

size_t tactus_pool_stats(const tactus_pool* pool, tactus_class_stats* out, size_t capacity) {
  size_t count = 0;
  guarded([&] {
    const tactus::pool_stats all = pool->pool.stats();
    count = all.classes.size();
    for (size_t i = 0; i < std::min(count, capacity); ++i) {
      const tactus::class_stats& from = all.classes[i];
      tactus_class_stats& to = out[i];
      to = {};
      std::strncpy(to.name, from.name.c_str(), sizeof to.name - 1);
      to.fingerprint[0] = from.id.high;
      to.fingerprint[1] = from.id.low;
      to.priority = from.priority;
      to.weight = from.weight;
      to.submitted = from.submitted;
      to.finished = from.finished;
      to.missed = from.missed;
      to.failed = from.failed;
      to.run_ns = static_cast<std::uint64_t>(from.run_time.count());
    }
  });
  return count;
}

const char* tactus_error_text(void) { return t_error; }

unsigned tactus_version(void) {
  return 10000 * TACTUS_VERSION_MAJOR + 100 * TACTUS_VERSION_MINOR + TACTUS_VERSION_PATCH;
}
