"""Figures of others that ours stand beside, with where they come from."""

SOURCE = (
    "measured by the maintainers with a simulator of their own in the same world (p = 0.25, T = 180 s), before this "
    "one was written; the reference is a model-based pacer at <= 3.1 % abandoned"
)

# agents: (utilisation, occupancy) of the reference
REFERENCE = {
    3: (0.721, 0.80),
    5: (0.735, 0.82),
    10: (0.770, 0.86),
    20: (0.812, 0.90),
    50: (0.847, 0.94),
    100: (0.866, 0.965),
    300: (0.887, 0.984),
}

# agents: (one call per idle agent, VICIdial ADAPT with a target of 3 %: utilisation and abandoned) by that simulator
MEASURED_BEFORE = {
    3: (0.676, 0.674, 0.050),
    5: (0.664, 0.660, 0.050),
    10: (0.670, 0.671, 0.034),
    20: (0.675, 0.678, 0.036),
    50: (0.671, 0.676, 0.031),
    100: (0.664, 0.668, 0.031),
    300: (0.674, 0.681, 0.032),
}

# agents: occupancy of the exact optimum at 3 % in a memoryless version of the world (exponential times, no patience),
# a constrained Markov decision process: choosing only how many calls to launch cannot go much further
OPTIMUM_WITHOUT_MEMORY = {3: 0.809, 5: 0.829, 10: 0.862}
