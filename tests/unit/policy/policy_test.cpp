// SPDX-License-Identifier: Apache-2.0
// The pure decision functions of bpf/policy.h, compiled natively: situations,
// sampling with exact probabilities, the mixed distribution of low confidence,
// the fallback, virtual time keys, bounds.
#include <bpf/policy.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace {

using cdf_array = std::array<std::uint16_t, TACTUS_MAX_PLACES>;

// Row with these masses for the first places; the rest of 65535 is hold.
cdf_array row_of(std::vector<unsigned> const& masses)
{
    cdf_array cdf{};
    unsigned sum = 0;
    for (std::size_t i = 0; i < cdf.size(); ++i) {
        if (i < masses.size()) sum += masses[i];
        cdf[i] = static_cast<std::uint16_t>(sum);
    }
    return cdf;
}

constexpr unsigned k_draws = 200000;

}  // namespace

TEST_CASE("waiting steps have the documented borders")
{
    struct { int waiting; unsigned step; } const borders[] = {
        {-5, 0}, {0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {5, 4}, {7, 4},
        {8, 5}, {12, 5}, {13, 6}, {20, 6}, {21, 7}, {1 << 30, 7}};
    for (auto const& b : borders) CHECK(tactus_waiting_step(b.waiting) == b.step);
}

TEST_CASE("every situation is below 128 and keeps both parts")
{
    for (unsigned tiers = 0; tiers < 64; ++tiers)
        for (int waiting = 0; waiting < 40; ++waiting) {
            unsigned s = tactus_situation(tiers, waiting);
            REQUIRE(s < TACTUS_NR_SITUATIONS);
            REQUIRE((s & 15) == (tiers & 15));
            REQUIRE((s >> 4) == tactus_waiting_step(waiting));
        }
}

TEST_CASE("idle tiers: only idle places count, hostile tiers are masked")
{
    std::array<std::uint8_t, TACTUS_MAX_PLACES> tier{};
    tier[0] = 0; tier[1] = 1; tier[2] = 3; tier[3] = 255;
    CHECK(tactus_idle_tiers(tier.data(), 0, 4) == 0);
    CHECK(tactus_idle_tiers(tier.data(), 0b0010, 4) == 0b0010);
    CHECK(tactus_idle_tiers(tier.data(), 0b0101, 4) == 0b1001);
    CHECK(tactus_idle_tiers(tier.data(), 0b1000, 4) == 0b1000);  // 255 & 3
    CHECK(tactus_idle_tiers(tier.data(), ~0ull, 2) == 0b0011);   // beyond nr_places: ignored
}

TEST_CASE("sampling: empirical frequencies are the logged probabilities, illegal actions never come")
{
    auto cdf = row_of({10000, 20000, 0, 5535});  // hold: 30000
    std::mt19937 random(1);
    struct { std::uint64_t legal; bool hold; } const cases[] = {
        {0b1111, true}, {0b1111, false}, {0b1010, true}, {0b0001, false}, {0b0100, true}};
    for (auto const& c : cases) {
        std::array<unsigned, TACTUS_NR_ACTIONS> seen{};
        tactus_choice choice{};
        for (unsigned n = 0; n < k_draws; ++n) {
            tactus_sample(cdf.data(), 4, c.legal, c.hold, random(), &choice);
            REQUIRE(choice.den != 0);
            REQUIRE(choice.num == tactus_row_mass(cdf.data(), choice.action));
            ++seen[choice.action];
        }
        for (unsigned a = 0; a < 4; ++a) {
            bool legal = c.legal >> a & 1;
            double p = legal ? tactus_row_mass(cdf.data(), a) / double(choice.den) : 0;
            double sigma = std::sqrt(p * (1 - p) * k_draws) + 1e-9;
            if (p == 0) CHECK(seen[a] == 0);
            else CHECK(std::abs(seen[a] - p * k_draws) < 5 * sigma);
        }
        if (!c.hold) CHECK(seen[TACTUS_HOLD] == 0);
    }
}

TEST_CASE("sampling: the draw covers the whole range of the random number")
{
    auto cdf = row_of({1, 65533, 1});  // hold 0
    tactus_choice choice{};
    tactus_sample(cdf.data(), 3, 7, true, 0, &choice);
    CHECK(choice.action == 0);
    tactus_sample(cdf.data(), 3, 7, true, 0xffffffffu, &choice);
    CHECK(choice.action == 2);
    CHECK(choice.den == 65535);
}

TEST_CASE("sampling: no mass on a legal action is told, not invented")
{
    auto cdf = row_of({65535});
    tactus_choice choice{};
    tactus_sample(cdf.data(), 4, 0b1110, true, 123, &choice);
    CHECK(choice.den == 0);
    tactus_sample(cdf.data(), 4, 0, false, 123, &choice);
    CHECK(choice.den == 0);
}

TEST_CASE("sampling: a hostile row (falling, random) never yields an illegal action")
{
    std::mt19937 random(7);
    for (int n = 0; n < 20000; ++n) {
        cdf_array cdf;
        for (auto& c : cdf) c = static_cast<std::uint16_t>(random());
        std::uint64_t legal = (std::uint64_t(random()) << 32 | random()) & (std::uint64_t(random()) << 32 | random());
        bool hold = random() & 1;
        unsigned places = 1 + random() % 64;
        tactus_choice choice{};
        tactus_sample(cdf.data(), places, legal, hold, random(), &choice);
        if (!choice.den) continue;
        REQUIRE(choice.num > 0);
        REQUIRE(choice.num <= choice.den);
        if (choice.action == TACTUS_HOLD) REQUIRE(hold);
        else {
            REQUIRE(choice.action < places);
            REQUIRE((legal >> choice.action & 1) == 1);
        }
    }
}

TEST_CASE("low confidence: the mixed probability is the true one and sums to one")
{
    auto cdf = row_of({30000, 20000, 15535});
    std::mt19937 random(5);
    unsigned const fallback = 2, explore = 51;  // 5 %
    std::array<unsigned, 3> seen{};
    std::array<double, 3> logged{};
    for (unsigned n = 0; n < k_draws; ++n) {
        tactus_choice choice{};
        tactus_sample(cdf.data(), 3, 7, false, random(), &choice);
        tactus_mix(&choice, fallback, tactus_row_mass(cdf.data(), fallback), explore, random());
        REQUIRE(choice.action < 3);
        ++seen[choice.action];
        logged[choice.action] = choice.num / double(choice.den);
    }
    CHECK(logged[0] + logged[1] + logged[2] == doctest::Approx(1).epsilon(1e-9));
    for (int a = 0; a < 3; ++a) CHECK(std::abs(seen[a] / double(k_draws) - logged[a]) < 0.005);
    CHECK(logged[2] > 0.95);
}

TEST_CASE("fallback: previous CPU, then cache, then core, then distance, then the shallowest queue")
{
    __u64 const near[4] = {0b000111, 0b001111, 0b011111, 0b111111};
    std::array<std::int32_t, 64> depth{};
    tactus_view v{};
    v.legal = 0b111111;
    v.prev = 1;
    v.prev_idle = true;
    v.idle = 0b111011;
    v.idle_core = v.idle;
    CHECK(tactus_fallback_idle(&v, near) == 1);
    v.prev_idle = false;
    v.idle = 0b111001;
    v.idle_core = 0b110000;
    CHECK(tactus_fallback_idle(&v, near) == 0);  // idle in the cache beats whole core far away
    v.idle = 0b111000;
    CHECK(tactus_fallback_idle(&v, near) == 3);  // same node
    v.idle = 0b100000;
    CHECK(tactus_fallback_idle(&v, near) == 5);
    v.legal = 0b011111;
    CHECK(tactus_fallback_idle(&v, near) == TACTUS_NO_PLACE);
    depth[0] = 1; depth[1] = 2; depth[2] = 1;
    CHECK(tactus_fallback_queue(&v, near, depth.data(), 6) == 0);
    depth[1] = 1;
    CHECK(tactus_fallback_queue(&v, near, depth.data(), 6) == 1);  // tie: previous place
    v.legal = 0b100000;
    CHECK(tactus_fallback_queue(&v, near, depth.data(), 6) == 5);  // nothing legal near: anywhere
}

TEST_CASE("places of one tier")
{
    std::array<__u8, 64> tier{};
    tier = {0, 1, 0, 2, 1, 0};
    CHECK(tactus_same_tier(tier.data(), 0, 6) == 0b100101);
    CHECK(tactus_same_tier(tier.data(), 4, 6) == 0b010010);
    CHECK(tactus_same_tier(tier.data(), 3, 6) == 0b001000);
    CHECK(tactus_same_tier(tier.data(), 0, 5) == 0b000101);  // no place beyond the last
    tier.fill(3);
    CHECK(tactus_same_tier(tier.data(), 63, 64) == ~0ull);
}

TEST_CASE("shallowest queue of a set")
{
    std::array<std::int32_t, 64> depth{};
    depth[0] = 2; depth[1] = 1; depth[2] = 1; depth[3] = 1; depth[4] = 0;
    CHECK(tactus_shallowest(0b11111, depth.data(), 5, 0, 1) == 4);
    CHECK(tactus_shallowest(0b01111, depth.data(), 5, 2, 3) == 2);  // tie: the first
    CHECK(tactus_shallowest(0b01111, depth.data(), 5, 0, 3) == 3);  // .. the second, if the first is deeper
    CHECK(tactus_shallowest(0b01111, depth.data(), 5, 9, 9) == 1);  // .. the lowest
    CHECK(tactus_shallowest(0, depth.data(), 5, 0, 0) == TACTUS_NO_PLACE);
}

TEST_CASE("fallback never leaves the legal places")
{
    std::mt19937_64 random(11);
    for (int n = 0; n < 50000; ++n) {
        tactus_view v{};
        v.legal = random() & random();
        v.idle = random() & random();
        v.idle_core = v.idle & random();
        v.prev = random() % 64;
        v.prev_idle = random() & 1;
        __u64 const near[4] = {random(), random(), random(), ~0ull};
        std::array<std::int32_t, 64> depth{};
        for (auto& d : depth) d = random() % 8;
        unsigned a = tactus_fallback_idle(&v, near);
        if (a != TACTUS_NO_PLACE) REQUIRE((v.legal >> a & 1) == 1);
        a = tactus_fallback_queue(&v, near, depth.data(), 64);
        REQUIRE((a == TACTUS_NO_PLACE) == (v.legal == 0));
        if (v.legal) REQUIRE((v.legal >> a & 1) == 1);
    }
}

TEST_CASE("lowest set bit")
{
    for (unsigned i = 0; i < 64; ++i) CHECK(tactus_lowest(1ull << i | (i < 63 ? 1ull << 63 : 0)) == i);
    CHECK(tactus_first_from(0b1001, 1) == 3);
    CHECK(tactus_first_from(0b1001, 4) == 0);
}

TEST_CASE("keys: no tag buys more than one slice of lag")
{
    std::mt19937_64 random(13);
    for (int n = 0; n < 50000; ++n) {
        std::uint64_t vtime = random(), now = random();
        std::uint64_t key = tactus_key(vtime, vtime, random() % 8, static_cast<unsigned>(random()), now);
        REQUIRE(vtime - key <= TACTUS_SLICE_DEFAULT_NS);
    }
    const std::uint64_t v = 1000000000;
    CHECK(tactus_key(v, v, TACTUS_PRIORITY_URGENT, 0, 0) < tactus_key(v, v, TACTUS_PRIORITY_HIGH, 0, 0));
    CHECK(tactus_key(v, v, TACTUS_PRIORITY_HIGH, 0, 0) < tactus_key(v, v, TACTUS_PRIORITY_NORMAL, 0, 0));
    std::uint64_t now = 5'000'000'000;
    auto due = [&](std::uint64_t ns) { return static_cast<unsigned>((now + ns) >> TACTUS_DEADLINE_UNIT_NS_LOG2); };
    CHECK(tactus_key(v, v, 1, due(1'000'000), now) < tactus_key(v, v, 1, due(1'000'000'000), now));
}

TEST_CASE("keys: at a crowded place an urgent worker that wakes up goes before those that lag, until it has had its share")
{
    const std::uint64_t now = 100 * TACTUS_SLICE_DEFAULT_NS, lagging = 85 * TACTUS_SLICE_DEFAULT_NS;
    const std::uint64_t woken = tactus_vtime_floor(0, now);
    CHECK(tactus_before(tactus_key(woken, now, TACTUS_PRIORITY_URGENT, 0, 0), tactus_key(lagging, now, TACTUS_PRIORITY_BACKGROUND, 0, 0)));
    CHECK(tactus_before(tactus_key(now - 1, now, TACTUS_PRIORITY_URGENT, 0, 0), tactus_key(lagging, now, TACTUS_PRIORITY_BACKGROUND, 0, 0)));
    CHECK_FALSE(tactus_before(tactus_key(now + 1, now, TACTUS_PRIORITY_URGENT, 0, 0), tactus_key(lagging, now, TACTUS_PRIORITY_BACKGROUND, 0, 0)));
    // the order among those that lag is that in which they came
    CHECK(tactus_before(tactus_key(lagging, now, 1, 0, 0), tactus_key(lagging - 5, now + 1, 1, 0, 0)));
}

TEST_CASE("a sleeper keeps at most one slice, across the wrap of virtual time")
{
    CHECK(tactus_vtime_floor(0, 100 * TACTUS_SLICE_DEFAULT_NS) == 99 * TACTUS_SLICE_DEFAULT_NS);
    CHECK(tactus_vtime_floor(100, 50) == 100);
    std::uint64_t now = 1000;  // wrapped
    CHECK(tactus_vtime_floor(now - 10, now) == now - 10);
    CHECK(tactus_vtime_floor(now - 2 * TACTUS_SLICE_DEFAULT_NS, now) == now - TACTUS_SLICE_DEFAULT_NS);
}

TEST_CASE("preemption needs more urgency and less virtual time")
{
    CHECK(tactus_preempts(100, 3, 200, 1));
    CHECK_FALSE(tactus_preempts(100, 1, 200, 1));
    CHECK_FALSE(tactus_preempts(300, 3, 200, 1));
}

TEST_CASE("an unmanaged wake-up preempts background work soon, other work later, nobody who is owed more")
{
    CHECK(tactus_unmanaged_preempts(100, 200, TACTUS_PRIORITY_BACKGROUND, TACTUS_PREEMPT_BACKGROUND_NS + 1));
    CHECK_FALSE(tactus_unmanaged_preempts(100, 200, TACTUS_PRIORITY_BACKGROUND, TACTUS_PREEMPT_BACKGROUND_NS));
    CHECK_FALSE(tactus_unmanaged_preempts(100, 200, TACTUS_PRIORITY_NORMAL, TACTUS_PREEMPT_AFTER_NS));
    CHECK(tactus_unmanaged_preempts(100, 200, TACTUS_PRIORITY_NORMAL, TACTUS_PREEMPT_AFTER_NS + 1));
    CHECK_FALSE(tactus_unmanaged_preempts(200, 100, TACTUS_PRIORITY_BACKGROUND, TACTUS_SLICE_MAX_NS));
}

TEST_CASE("bounds: queue limit, hold, slices, tasks present")
{
    CHECK(tactus_queue_limit(0, 4) == 2);
    CHECK(tactus_queue_limit(1, 4) == 4);
    CHECK(tactus_queue_limit(8, 4) == 6);
    CHECK(tactus_queue_limit(-3, 0) == 2);
    CHECK(tactus_hold_legal(63, 4));
    CHECK_FALSE(tactus_hold_legal(64, 4));
    CHECK(tactus_slice(0) == TACTUS_SLICE_DEFAULT_NS);
    CHECK(tactus_slice(1) == TACTUS_SLICE_MIN_NS);
    CHECK(tactus_slice(65535) == TACTUS_SLICE_MAX_NS);
    CHECK(tactus_slice(300) == 3'000'000);
    CHECK(tactus_present_clamp(-5, 4) == 0);
    CHECK(tactus_present_clamp(1ll << 60, 4) == 256);
    CHECK(tactus_present_clamp(17, 4) == 17);
}

TEST_CASE("tags: fields come back, foreign bits do no harm")
{
    std::uint64_t tag = tactus_tag_make(17, TACTUS_PRIORITY_HIGH, 123456789012345ull);
    CHECK((tag & TACTUS_TAG_VALID) != 0);
    CHECK(tactus_tag_class(tag) == 17);
    CHECK(tactus_tag_priority(tag) == TACTUS_PRIORITY_HIGH);
    CHECK(tactus_tag_deadline(tag) == static_cast<std::uint32_t>(123456789012345ull >> 10));
    CHECK(tactus_tag_class(~0ull) == 0);  // out of range: unknown
    CHECK(tactus_tag_deadline(tactus_tag_make(1, 1, 0)) == 0);
    CHECK(tactus_tag_deadline(tactus_tag_make(1, 1, 1ull << 42)) != 0);  // wraps to 0: still a deadline
}
