"""The same work with multiprocessing; prints seconds. Arguments: processes, what, and how much of it."""

import sys
import time
from multiprocessing import Pool

# None is Python's own choice: a quarter of a worker's share.
CHUNK_SIZES = [None, 1_000, 10_000, 100_000]


def cube(number):
    return number * number * number


def timed(function):
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def map_all(pool, calls):
    best = float("inf")
    for chunk_size in CHUNK_SIZES:
        seconds, cubes = timed(lambda: pool.map(cube, range(calls), chunk_size))
        assert len(cubes) == calls and cubes[-1] == (calls - 1) ** 3
        best = min(best, seconds)
        del cubes
    return [best]


def apply(pool, calls):
    seconds = sorted(timed(lambda: pool.apply(cube, (3,)))[0] for _ in range(calls))
    return [seconds[calls // 2], seconds[calls * 99 // 100]]


def first_result(processes):
    started = time.perf_counter()
    with Pool(processes) as pool:
        assert pool.apply(cube, (3,)) == 27
        return [time.perf_counter() - started]


def main(processes, what, amount=0):
    if what == "first":
        return first_result(processes)
    with Pool(processes) as pool:
        if what == "map":
            return map_all(pool, amount)
        if what == "apply":
            return apply(pool, amount)
        seconds, cubes = timed(lambda: pool.map(cube, range(10)))
        assert cubes == [number**3 for number in range(10)]
        return [seconds]


if __name__ == "__main__":
    print(*main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])))
