// SPDX-License-Identifier: Apache-2.0
//
// The processes of models.h. State numbers are closed formulas, so that nodes can name states that
// are added later.
#include "solve/models.h"

#include "bpf/policy.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace tactus::sim {

std::vector<server_group> apart(const std::vector<double>& speeds) {
  std::vector<server_group> out;
  for (double s : speeds) out.push_back({s, 1});
  return out;
}

std::vector<server_group> grouped(const std::vector<double>& speeds) {
  std::vector<server_group> out;
  for (double s : speeds) {
    const auto same = std::find_if(out.begin(), out.end(), [&](const auto& g) { return g.speed == s; });
    if (same == out.end())
      out.push_back({s, 1});
    else
      ++same->count;
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.speed > b.speed; });
  return out;
}

double erlang_jobs(int servers, double a) {
  if (a >= servers) return std::numeric_limits<double>::infinity();
  double blocked = 1;  // Erlang B by its recursion
  for (int k = 1; k <= servers; ++k) blocked = a * blocked / (k + a * blocked);
  const double waits = blocked / (1 - a / servers * (1 - blocked));
  return a + waits * a / (servers - a);
}

// ---------------------------------------------------------------- one queue ---

namespace {

// Busy servers of each group as one number, and back.
class busy_counts {
 public:
  explicit busy_counts(const std::vector<server_group>& servers) : servers_(servers) {
    int step = 1, place = 0;
    for (const auto& g : servers) {
      steps_.push_back(step);
      places_.push_back(place);
      step *= g.count + 1;
      place += g.count;
    }
    size_ = step;
    nr_places_ = place;
  }
  int size() const { return size_; }
  int nr_groups() const { return static_cast<int>(steps_.size()); }
  int nr_places() const { return nr_places_; }
  int step(int g) const { return steps_[static_cast<std::size_t>(g)]; }
  int place(int g) const { return places_[static_cast<std::size_t>(g)]; }
  int count(int g) const { return servers_[static_cast<std::size_t>(g)].count; }
  int busy(int b, int g) const { return b / step(g) % (count(g) + 1); }
  bool idle(int b, int g) const { return busy(b, g) < count(g); }
  bool any_idle(int b) const { return b != size_ - 1; }
  int jobs(int b) const {
    int n = 0;
    for (int g = 0; g < nr_groups(); ++g) n += busy(b, g);
    return n;
  }
  // The first busy(b, g) places of each group work.
  std::uint64_t places(int b) const {
    std::uint64_t mask = 0;
    for (int g = 0; g < nr_groups(); ++g) mask |= ((1ull << busy(b, g)) - 1) << place(g);
    return mask;
  }

 private:
  const std::vector<server_group>& servers_;
  std::vector<int> steps_, places_;
  int size_ = 1, nr_places_ = 0;
};

}  // namespace

process queue_model(const std::vector<server_group>& servers, double load, asking how, int cut) {
  const busy_counts busy(servers);
  if (busy.nr_places() < 1 || busy.nr_places() > 16) throw std::invalid_argument("queue model: 1 to 16 servers");
  double total = 0;
  for (const auto& g : servers) {
    if (!(g.speed > 0)) throw std::invalid_argument("queue model: a speed is not positive");
    total += g.speed * g.count;
  }
  if (!(load > 0 && load < 1)) throw std::invalid_argument("queue model: load must be between 0 and 1");
  if (cut <= 0) cut = queue_cut(load);
  const int nb = busy.size();
  const std::uint64_t all = (1ull << busy.nr_places()) - 1;
  const auto state = [&](int q, int b) { return q * nb + b; };
  process p;

  // Somebody is asked for one of q waiting jobs; the choice of g leads to after(q - 1, b + g).
  const auto ask = [&](int q, int b, int only_group, bool hold_legal, auto&& after) {
    question k;
    k.moment = only_group < 0 ? TACTUS_MOMENT_WAKE : TACTUS_MOMENT_IDLE;
    k.waiting = static_cast<std::uint16_t>(q - 1);
    k.queue = {static_cast<std::uint16_t>(q), 0};
    k.idle = all & ~busy.places(b);
    k.legal = k.idle;
    if (only_group >= 0) k.legal = 1ull << busy.place(only_group);
    k.hold_legal = hold_legal;
    const target node = p.add_node(k);
    if (hold_legal) p.add_choice(TACTUS_HOLD, state(q, b));
    for (int g = 0; g < busy.nr_groups(); ++g)
      if (busy.idle(b, g) && (only_group < 0 || g == only_group))
        p.add_choice(static_cast<std::uint8_t>(busy.place(g)), after(q - 1, b + busy.step(g)));
    return node;
  };

  // node_of[q][b]: what follows when q jobs wait and b work, before anybody decided.
  std::vector<std::vector<target>> arrival(static_cast<std::size_t>(cut) + 1, std::vector<target>(static_cast<std::size_t>(nb)));
  std::vector<std::vector<std::vector<target>>> freed;  // [g][q][b]: g fell idle
  if (how == asking::until_held) {
    for (int q = 0; q <= cut; ++q)
      for (int b = nb; b-- > 0;)
        arrival[q][b] = q == 0 || !busy.any_idle(b)
                            ? state(q, b)
                            : ask(q, b, -1, true, [&](int q1, int b1) { return arrival[q1][b1]; });
    freed.assign(static_cast<std::size_t>(busy.nr_groups()), arrival);
  } else {
    freed.assign(static_cast<std::size_t>(busy.nr_groups()), arrival);
    for (int q = 0; q <= cut; ++q)
      for (int b = 0; b < nb; ++b) {
        const bool hold = tactus_hold_legal(q - 1, static_cast<__u32>(busy.nr_places()));
        arrival[q][b] = q == 0 || !busy.any_idle(b) ? state(q, b) : ask(q, b, -1, hold, state);
        for (int g = 0; g < busy.nr_groups(); ++g)
          freed[g][q][b] = q == 0 || !busy.idle(b, g) ? state(q, b) : ask(q, b, g, true, state);
      }
  }

  for (int q = 0; q <= cut; ++q)
    for (int b = 0; b < nb; ++b) {
      state_info s;
      s.jobs = q + busy.jobs(b);
      s.busy = busy.places(b);
      s.waiting = {static_cast<std::uint16_t>(q), 0};
      for (int g = busy.nr_groups(); q && g-- > 0;)  // the timer kicks the first idle CPU
        if (busy.idle(b, g)) s.release[0] = state(q - 1, b + busy.step(g));
      p.add_state(s);
      if (q < cut)
        p.add_transition(load * total, arrival[q + 1][b]);
      else if (s.release[0] >= 0)
        p.add_transition(load * total, s.release[0]);
      for (int g = 0; g < busy.nr_groups(); ++g)
        if (busy.busy(b, g))
          p.add_transition(servers[static_cast<std::size_t>(g)].speed * busy.busy(b, g), freed[g][q][b - busy.step(g)],
                           busy.place(g) + busy.busy(b, g) - 1);
    }
  return p;
}

int threshold_of(const process& p, const optimum& o, const std::vector<server_group>& servers, int g) {
  const busy_counts busy(servers);
  const std::uint64_t faster = (1ull << busy.place(g)) - 1;
  int least = -1;
  for (int n = 0; n < p.nr_nodes(); ++n) {
    const question& k = p.node(n);
    if ((k.idle & faster) || !(k.idle >> busy.place(g) & 1)) continue;
    const auto c = p.choices(n)[static_cast<std::size_t>(o.best[static_cast<std::size_t>(n)])];
    if (c.action != TACTUS_HOLD && (least < 0 || k.queue[0] < least)) least = k.queue[0];
  }
  return least;
}

// ------------------------------------------------------- immediate dispatch ---

process immediate_model(const std::vector<double>& speeds, double load, int cut) {
  if (speeds.size() != 2) throw std::invalid_argument("immediate dispatch: exactly two speeds");
  if (!(load > 0 && load < 1)) throw std::invalid_argument("immediate dispatch: load must be between 0 and 1");
  const double total = speeds[0] + speeds[1];
  if (cut <= 0) cut = queue_cut(load);
  // A server's queue is cut where its share of the work is; half for joining the shortest.
  const auto limit = [&](double speed) { return static_cast<int>(cut * std::max(speed / total, 0.5)) + 10; };
  const int n0 = limit(speeds[0]), n1 = limit(speeds[1]);
  const auto state = [&](int a, int b) { return a * (n1 + 1) + b; };
  process p;
  for (int a = 0; a <= n0; ++a)
    for (int b = 0; b <= n1; ++b) {
      question k;
      k.legal = 3;
      k.idle = (a == 0 ? 1u : 0u) | (b == 0 ? 2u : 0u);
      k.queue = {static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b)};
      k.waiting = static_cast<std::uint16_t>(std::max(0, a - 1) + std::max(0, b - 1));
      k.hold_legal = false;
      p.add_node(k);
      // A queue at its cut takes nobody: the job goes to the other one, and is lost only where both are full.
      // Lost at once it would cost nothing, and sending everything to a full queue would be a way out.
      const int longer0 = state(std::min(a + 1, n0), b), longer1 = state(a, std::min(b + 1, n1));
      p.add_choice(0, a < n0 ? longer0 : longer1);
      p.add_choice(1, b < n1 ? longer1 : longer0);
    }
  for (int a = 0; a <= n0; ++a)
    for (int b = 0; b <= n1; ++b) {
      state_info s;
      s.jobs = a + b;
      s.busy = (a ? 1u : 0u) | (b ? 2u : 0u);
      s.waiting = {static_cast<std::uint16_t>(std::max(0, a - 1)), static_cast<std::uint16_t>(std::max(0, b - 1))};
      p.add_state(s);
      p.add_transition(load * total, ~state(a, b));
      if (a) p.add_transition(speeds[0], state(a - 1, b), 0);
      if (b) p.add_transition(speeds[1], state(a, b - 1), 1);
    }
  return p;
}

// ----------------------------------------------------------------- affinity ---

process affinity_model(double off, double load, asking how, int cut) {
  if (!(off > 0)) throw std::invalid_argument("affinity model: off must be positive");
  if (!(load > 0 && load < 1)) throw std::invalid_argument("affinity model: load must be between 0 and 1");
  const int width = cut + 1;
  // q waiting of each class; s of each server: 0 idle, else the class it works on, 1 or 2.
  struct place_in {
    int q[2], s[2];
  };
  const auto state = [&](const place_in& x) { return ((x.q[0] * width + x.q[1]) * 3 + x.s[0]) * 3 + x.s[1]; };
  const auto each = [&](auto&& body) {
    place_in x;
    for (x.q[0] = 0; x.q[0] <= cut; ++x.q[0])
      for (x.q[1] = 0; x.q[1] <= cut; ++x.q[1])
        for (x.s[0] = 0; x.s[0] < 3; ++x.s[0])
          for (x.s[1] = 0; x.s[1] < 3; ++x.s[1]) body(x);
  };
  const auto started = [](place_in x, int c, int server) {
    --x.q[c];
    x.s[server] = c + 1;
    return x;
  };
  const auto idle_of = [](const place_in& x) { return std::uint64_t((x.s[0] == 0 ? 1u : 0u) | (x.s[1] == 0 ? 2u : 0u)); };
  process p;
  const auto ask = [&](const place_in& x, int c, std::uint64_t legal, int moment, bool hold_legal) {
    question k;
    k.slot = static_cast<std::uint8_t>(c + 1);
    k.legal = legal;
    k.idle = idle_of(x);
    k.moment = static_cast<std::uint8_t>(moment);
    k.queue = {static_cast<std::uint16_t>(x.q[0]), static_cast<std::uint16_t>(x.q[1])};
    k.waiting = static_cast<std::uint16_t>(x.q[0] + x.q[1] - 1);
    k.hold_legal = hold_legal;
    return p.add_node(k);
  };

  const std::size_t nr_states = static_cast<std::size_t>(width) * static_cast<std::size_t>(width) * 9;
  // What follows an arrival of class c (counted already) and place `server` falling idle.
  std::array<std::vector<target>, 2> arrival{std::vector<target>(nr_states), std::vector<target>(nr_states)}, freed = arrival;
  if (how == asking::once) {
    each([&](const place_in& x) {
      const auto at = static_cast<std::size_t>(state(x));
      for (int c = 0; c < 2; ++c) {
        arrival[c][at] = state(x);
        freed[c][at] = state(x);
        if (x.q[c] && idle_of(x)) {
          const bool hold = tactus_hold_legal(x.q[0] + x.q[1] - 1, 2);
          arrival[c][at] = ask(x, c, idle_of(x), TACTUS_MOMENT_WAKE, hold);
          if (hold) p.add_choice(TACTUS_HOLD, state(x));
          for (int server = 0; server < 2; ++server)
            if (x.s[server] == 0) p.add_choice(static_cast<std::uint8_t>(server), state(started(x, c, server)));
        }
        if (x.s[c] != 0) continue;
        // The head of the server's own class first, then that of the other.
        for (int of : {1 - c, c}) {
          if (!x.q[of]) continue;
          const target otherwise = freed[c][at];
          freed[c][at] = ask(x, of, 1ull << c, TACTUS_MOMENT_IDLE, true);
          p.add_choice(TACTUS_HOLD, otherwise);
          p.add_choice(static_cast<std::uint8_t>(c), state(started(x, of, c)));
        }
      }
    });
  } else {
    // Any job on any idle server, until held. The order of states has all that a start leads to before.
    std::vector<target> next(nr_states);
    for (int q0 = 0; q0 <= cut; ++q0)
      for (int q1 = 0; q1 <= cut; ++q1)
        for (int s = 9; s-- > 0;) {
          const place_in x{{q0, q1}, {s / 3, s % 3}};
          const auto at = static_cast<std::size_t>(state(x));
          next[at] = state(x);
          if (q0 + q1 == 0 || !idle_of(x)) continue;
          next[at] = ask(x, q0 ? 0 : 1, idle_of(x), TACTUS_MOMENT_WAKE, true);
          p.add_choice(TACTUS_HOLD, state(x));
          for (int c = 0; c < 2; ++c)
            for (int server = 0; server < 2; ++server)
              if (x.q[c] && x.s[server] == 0)
                p.add_choice(static_cast<std::uint8_t>(server), next[static_cast<std::size_t>(state(started(x, c, server)))]);
        }
    arrival = {next, next};
    freed = {next, next};
  }

  each([&](const place_in& x) {
    state_info s;
    s.jobs = x.q[0] + x.q[1] + (x.s[0] != 0) + (x.s[1] != 0);
    s.busy = 3 & ~idle_of(x);
    s.waiting = {static_cast<std::uint16_t>(x.q[0]), static_cast<std::uint16_t>(x.q[1])};
    for (int c = 0; c < 2; ++c)
      for (int server = 2; server-- > 0;)
        if (x.q[c] && x.s[server] == 0) s.release[static_cast<std::size_t>(c)] = state(started(x, c, server));
    p.add_state(s);
    for (int c = 0; c < 2; ++c) {
      if (x.q[c] == cut) {
        if (s.release[static_cast<std::size_t>(c)] >= 0) p.add_transition(load, s.release[static_cast<std::size_t>(c)]);
        continue;
      }
      place_in more = x;
      ++more.q[c];
      p.add_transition(load, arrival[c][static_cast<std::size_t>(state(more))]);
    }
    for (int server = 0; server < 2; ++server) {
      if (x.s[server] == 0) continue;
      place_in done = x;
      done.s[server] = 0;
      p.add_transition(x.s[server] == server + 1 ? 1 : off, freed[server][static_cast<std::size_t>(state(done))], server);
    }
  });
  return p;
}

}  // namespace tactus::sim
