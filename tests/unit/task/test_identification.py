"""Kicks, belief and wiring on small made-up sections; seeds are fixed."""

import numpy as np
import pytest

from beamctl.task.belief import Belief, belief_of
from beamctl.task.identification import Verdict, channel_verdicts, corrector_verdicts, identify, mapped
from beamctl.task.kicks import kick_patterns, measured_response, plan_kicks
from beamctl.task.mapping import conclude
from beamctl.task.prior import SectionPrior

SEED = 7
CELLS, K, N = 3, 6, 6
PAIR = np.array([1, 0, 3, 2, 5, 4])
RANGE = (-15.0, 15.0)
NOISE = 0.03
LO, HI, STEP = np.full(K, -74.0), np.full(K, 74.0), np.full(K, 15.0)


def response(rng, m):
    """Sections of three cells: each corrector moves all BPMs behind it, x and y coupled; 10 % uncertain."""
    base = np.array([[0.04, 0, 0], [0.07, 0.04, 0], [0.02, 0.07, 0.04]])
    cells = base * (1 + 0.1 * rng.uniform(-1, 1, (m, 3, 3)))
    turn = np.exp(1j * (0.3 + 0.1 * rng.uniform(-1, 1, (m, 3, 3))))
    u = cells * turn * np.triu(np.ones((3, 3))).T
    out = np.empty((m, N, K))
    out[:, 0::2, 0::2], out[:, 1::2, 0::2] = u.real, u.imag
    out[:, 0::2, 1::2], out[:, 1::2, 1::2] = -u.imag, u.real
    return out * (1 + 0.1 * rng.uniform(-1, 1, (m, 1, K)))


@pytest.fixture(scope="module")
def prior() -> SectionPrior:
    rng = np.random.default_rng(SEED)
    bare = rng.normal(size=(2000, N)) @ (np.eye(N) + 0.9 * np.eye(N, k=2))
    return SectionPrior(belief_of(bare, response(rng, 2000)), PAIR, 0.01, 6.0)


def preflight(truth, prior, rng, usable=None, bare=None):
    """Readings of machines with the given response (m, n, k), and the findings."""
    m = len(truth)
    usable = np.ones((m, N), bool) if usable is None else usable
    bare = rng.normal(0, 2, (m, N)) if bare is None else bare
    found = rng.uniform(-4, 4, (m, K))

    def read(setting):
        return np.where(usable, bare + np.matvec(truth, setting) + NOISE * rng.normal(size=(m, N)), 0.0)

    first = read(found)
    plan = plan_kicks(found, LO, HI, prior.kick_a, STEP, first, prior.belief.response_mm_per_a, RANGE)
    settings = np.concatenate([found[None], plan.settings_a])
    return conclude(settings, np.stack([first, *map(read, plan.settings_a)]), usable, prior)


def verdicts(mapping, row):
    return corrector_verdicts(mapping.wiring.at(row), PAIR), channel_verdicts(mapping.wiring.at(row))


class TestKicks:
    @pytest.mark.parametrize("k", range(1, 25))
    def test_columns_are_orthogonal(self, k):
        patterns = kick_patterns(k)
        gram = patterns.T @ patterns
        np.testing.assert_array_equal(gram, gram[0, 0] * np.eye(k))
        assert set(np.unique(patterns)) <= {-1.0, 0.0, 1.0}
        assert k <= len(patterns) <= k + 3

    @pytest.mark.parametrize("k", [8, 10])
    def test_costs_two_readings_per_corrector(self, k):
        assert len(kick_patterns(k)) == k

    def test_limits_and_steps_are_kept(self, prior):
        rng = np.random.default_rng(SEED)
        found = rng.uniform(-74, 74, (50, K))
        found[0], found[1] = LO, HI
        plan = plan_kicks(found, LO, HI, 6.0, STEP, np.zeros((50, N)), prior.belief.response_mm_per_a, RANGE)
        way = np.concatenate([found[None], plan.settings_a])
        assert (way >= LO).all()
        assert (way <= HI).all()
        assert np.abs(np.diff(way, axis=0)).max() <= 15.0
        assert np.abs(plan.settings_a[0::2] - plan.settings_a[1::2]).max() == pytest.approx(12.0)

    def test_a_kick_is_never_larger_than_half_a_step(self, prior):
        plan = plan_kicks(np.zeros(K), LO, HI, 6.0, STEP / 3, np.zeros(N), prior.belief.response_mm_per_a, RANGE)
        assert plan.kick_a == pytest.approx(2.5)

    def test_kicks_shrink_near_the_end_of_the_believable_range(self, prior):
        reading = np.zeros((2, N))
        reading[1, 4] = 13.2
        plan = plan_kicks(np.zeros((2, K)), LO, HI, 6.0, STEP, reading, prior.belief.response_mm_per_a, RANGE)
        assert plan.kick_a[1, 0] < plan.kick_a[0, 0] == pytest.approx(6.0)

    def test_response_and_noise_are_recovered(self, prior):
        rng = np.random.default_rng(SEED)
        truth = response(rng, 1)[0]
        plan = plan_kicks(np.zeros(K), LO, HI, 6.0, STEP, np.zeros(N), prior.belief.response_mm_per_a, RANGE)
        drift = np.linspace(0, 0.5, len(plan.settings_a))[:, None]
        clean = np.matvec(truth, plan.settings_a)
        exact = measured_response(plan.settings_a, clean)
        np.testing.assert_allclose(exact.mm_per_a, truth, atol=1e-12)
        assert exact.noise_mm.max() < 1e-12
        drifting = measured_response(plan.settings_a, clean + drift)
        assert np.abs(drifting.mm_per_a - truth).max() < 0.3 * 0.5 / 6.0 / len(plan.settings_a) * K
        noisy = [measured_response(plan.settings_a, clean + NOISE * rng.normal(size=clean.shape)) for _ in range(300)]
        assert np.mean([m.noise_mm**2 for m in noisy]) ** 0.5 == pytest.approx(NOISE, rel=0.1)
        spread = np.std([m.mm_per_a for m in noisy], axis=0)
        assert spread.mean() == pytest.approx(NOISE * noisy[0].noise_per_a[0], rel=0.1)


class TestBelief:
    def test_is_bayes_rule(self):
        """Against the textbook formula on the flattened unknowns."""
        rng = np.random.default_rng(SEED)
        n, k = 2, 3
        root = rng.normal(size=(n * (1 + k), n * (1 + k)))
        belief = Belief(rng.normal(size=(n, 1 + k)), root @ root.T)
        u, y, noise = rng.normal(size=k), rng.normal(size=n), np.array([0.3, 0.5])
        h = np.kron(np.eye(n), np.concatenate([[1.0], u])[None])
        precision = np.linalg.inv(belief.covariance) + h.T @ np.diag(noise**-2) @ h
        covariance = np.linalg.inv(precision)
        gain = covariance @ h.T @ np.diag(noise**-2)
        mean = belief.mean.ravel() + gain @ (y - h @ belief.mean.ravel())
        after = belief.after(u, y, noise, np.ones(n, bool))
        np.testing.assert_allclose(after.mean.ravel(), mean, rtol=1e-6)
        np.testing.assert_allclose(after.covariance, covariance, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(after.orbit_sd_mm(u) ** 2, np.diag(h @ covariance @ h.T), rtol=1e-5)

    def test_rows_of_a_batch_are_solo_machines(self, prior):
        rng = np.random.default_rng(SEED)
        u, y = rng.normal(size=(4, K)), rng.normal(size=(4, N))
        usable = rng.random((4, N)) < 0.7
        b = prior.belief
        many = Belief(np.tile(b.mean, (4, 1, 1)), np.tile(b.covariance, (4, 1, 1)))
        noise = np.full(N, 0.05)
        together = many.after(u, y, noise, usable)
        for i in range(4):
            alone = b.after(u[i], y[i], noise, usable[i])
            np.testing.assert_allclose(together.mean[i], alone.mean, atol=1e-12)
            np.testing.assert_allclose(together.covariance[i], alone.covariance, atol=1e-12)

    def test_a_channel_that_cannot_be_read_is_estimated_from_the_others(self, prior):
        rng = np.random.default_rng(SEED)
        usable = np.arange(N) != 2
        errors, sds, plain = [], [], []
        for _ in range(200):
            bare = rng.normal(size=N) @ (np.eye(N) + 0.9 * np.eye(N, k=2))
            after = prior.belief.after(np.zeros(K), np.where(usable, bare, 0.0), np.full(N, 0.01), usable)
            errors.append(after.orbit_mm(np.zeros(K))[2] - bare[2])
            sds.append(after.orbit_sd_mm(np.zeros(K))[2])
            plain.append(bare[2])
        assert np.std(errors) < 0.8 * np.std(plain)
        assert np.std(errors) == pytest.approx(np.mean(sds), rel=0.15)


class TestWiring:
    def test_healthy_machines_are_good(self, prior):
        rng = np.random.default_rng(SEED)
        found = preflight(response(rng, 50), prior, rng)
        for row in range(50):
            assert verdicts(found, row) == ([Verdict.GOOD] * K, [Verdict.GOOD] * N), f"row {row}, seed {SEED}"
        assert found.wiring.corrector_confidence.min() > 0.5

    @pytest.mark.parametrize(
        ("columns", "factor", "expected"),
        [
            ([0, 1, 2, 3, 4, 5], [1, 1, -1, 1, 1, 1], {2: Verdict.REVERSED}),
            ([0, 1, 2, 3, 4, 5], [-1, 1, -1, 1, 1, -1], dict.fromkeys((0, 2, 5), Verdict.REVERSED)),
            ([0, 1, 2, 3, 4, 5], [1, 1, 1, 1, 0, 1], {4: Verdict.DEAD}),
            ([0, 1, 2, 3, 4, 5], [1, 0.4, 1, 1, 1, 1], {1: Verdict.WEAK}),
            ([0, 1, 3, 2, 4, 5], [1, 1, 1, 1, 1, 1], dict.fromkeys((2, 3), Verdict.CROSSED)),
            ([4, 1, 2, 3, 0, 5], [1, 1, 1, 1, 1, 1], dict.fromkeys((0, 4), Verdict.SWAPPED)),
            ([0, 1, 5, 3, 4, 2], [1, 1, -1, 1, 1, -1], dict.fromkeys((2, 5), Verdict.SWAPPED)),
            ([1, 1, 2, 3, 4, 5], [1, 1, 1, 1, 1, 1], {0: Verdict.CROSSED}),
        ],
    )
    def test_faults_of_correctors_are_named(self, prior, columns, factor, expected):
        rng = np.random.default_rng(SEED)
        truth = response(rng, 30)[:, :, columns] * np.array(factor)
        found = preflight(truth, prior, rng)
        wanted = [expected.get(j, Verdict.GOOD) for j in range(K)]
        for row in range(30):
            assert verdicts(found, row) == (wanted, [Verdict.GOOD] * N), f"row {row}, seed {SEED}"

    @pytest.mark.parametrize("channel", range(N))
    def test_a_reversed_channel_is_named(self, prior, channel):
        rng = np.random.default_rng(SEED)
        truth = response(rng, 20)
        truth[:, channel] *= -1
        found = preflight(truth, prior, rng)
        wanted = [Verdict.REVERSED if i == channel else Verdict.GOOD for i in range(N)]
        for row in range(20):
            assert verdicts(found, row) == ([Verdict.GOOD] * K, wanted), f"row {row}, seed {SEED}"

    def test_a_channel_that_reads_noise_only_is_dead(self, prior):
        rng = np.random.default_rng(SEED)
        truth, bare = response(rng, 20), rng.normal(0, 2, (20, N))
        truth[:, 3] = 0.0
        found = preflight(truth, prior, rng, bare=bare)
        wanted = [Verdict.DEAD if i == 3 else Verdict.GOOD for i in range(N)]
        for row in range(20):
            assert verdicts(found, row) == ([Verdict.GOOD] * K, wanted), f"row {row}, seed {SEED}"

    def test_channels_that_were_not_read_are_dead(self, prior):
        rng = np.random.default_rng(SEED)
        usable = np.ones((10, N), bool)
        usable[:, 2:4] = False
        found = preflight(response(rng, 10), prior, rng, usable)
        assert (found.wiring.responds == usable).all()
        assert verdicts(found, 0)[0] == [Verdict.GOOD] * K

    def test_nothing_at_all_answers(self, prior):
        rng = np.random.default_rng(SEED)
        found = preflight(np.zeros((3, N, K)), prior, rng)
        assert np.isfinite(found.belief.mean).all()
        assert not (found.wiring.works.all(axis=1) & found.wiring.responds.all(axis=1)).any()

    def test_a_batch_is_solo_machines(self, prior):
        rng = np.random.default_rng(SEED)
        measured = response(rng, 4) * np.array([1, -1, 1, 0, 1, 0.4])
        measured[2, 3] *= -1
        noise, usable = np.full((4, N), 0.001), np.ones((4, N), bool)
        usable[1, :2] = False
        together = identify(measured, noise, usable, prior.belief, PAIR)
        for i in range(4):
            alone = identify(measured[i], noise[i], usable[i], prior.belief, PAIR)
            for name, value in vars(alone).items():
                np.testing.assert_allclose(getattr(together, name)[i], value, atol=1e-9, err_msg=f"{name} of row {i}")


class TestMapping:
    def test_the_posterior_is_closer_than_model_or_measurement(self, prior):
        rng = np.random.default_rng(SEED)
        truth = response(rng, 50)[:, :, [4, 1, 2, 3, 0, 5]] * np.array([1, -1, 1, 1, 1, 0.5])
        found = preflight(truth, prior, rng)
        error = np.abs(found.belief.response_mm_per_a - truth).mean()
        assert error < np.abs(found.measured_mm_per_a - truth).mean()
        assert error < 0.6 * np.abs(mapped(prior.belief, found.wiring).response_mm_per_a - truth).mean()

    def test_there_and_back(self, prior):
        rng = np.random.default_rng(SEED)
        found = preflight(response(rng, 5)[:, :, [4, 1, 2, 3, 0, 5]] * np.array([1, -1, 1, 0, 1, 1]), prior, rng)
        current = rng.normal(size=(5, K))
        np.testing.assert_allclose(found.to_supplies(found.to_found(current)), current)
        np.testing.assert_array_equal(found.supply_of, [[4, 1, 2, 3, 0, 5]] * 5)
